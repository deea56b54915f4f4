//! Whatever can be said in crm syntax comes back from XML and from our own printing as it was.

#![allow(
    clippy::disallowed_methods,
    reason = "the environment chooses more cases"
)]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use quorate_model::crm::{differences, from_cib, parse, print};
use quorate_model::diag::{Severity, has_errors};
use quorate_model::lint::{Facts, check};
use quorate_model::xml::{read::read, write};

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9_./:-]{1,12}",
        Just(String::new()),
        "[ -~]{1,16}".prop_map(|text| text),
        Just("a \"quoted\" b\\c".to_owned()),
    ]
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,8}".prop_filter("no word of the language", |name| {
        ![
            "op",
            "meta",
            "params",
            "rule",
            "utilization",
            "operations",
            "date",
            "and",
            "or",
            "to",
            "select",
            "attributes",
        ]
        .contains(&name.as_str())
    })
}

fn pairs() -> impl Strategy<Value = String> {
    proptest::collection::btree_map(name(), value(), 1..4).prop_map(|pairs| {
        pairs
            .iter()
            .map(|(name, value)| format!("{name}={}", quoted(value)))
            .collect::<Vec<_>>()
            .join(" ")
    })
}

fn expression() -> impl Strategy<Value = String> {
    prop_oneof![
        name().prop_map(|name| format!("defined {name}")),
        (name(), value()).prop_map(|(name, value)| format!("{name} ne {}", quoted(&value))),
        name().prop_map(|name| format!("{name} number:gt 3")),
        Just("#uname eq n1".to_owned()),
        Just("date lt 2030-01-01".to_owned()),
        Just("date in start=2020-01-01 years=3".to_owned()),
        Just("date spec hours=9-16 weekdays=1-5".to_owned()),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    (
        prop_oneof![
            Just(String::new()),
            Just("100: ".to_owned()),
            Just("-inf: ".to_owned()),
            Just("score-attr: ".to_owned())
        ],
        proptest::collection::vec(expression(), 1..4),
        prop_oneof![Just(" and "), Just(" or ")],
    )
        .prop_map(|(score, parts, joiner)| format!("rule {score}{}", parts.join(joiner)))
}

fn primitive(id: usize) -> impl Strategy<Value = String> {
    let agent = prop_oneof![
        Just("ocf:heartbeat:Dummy"),
        Just("Dummy"),
        Just("systemd:a@b.service"),
        Just("stonith:fence_x"),
        Just("lsb:script")
    ];
    let part = prop_oneof![
        pairs().prop_map(|pairs| format!("params {pairs}")),
        pairs().prop_map(|pairs| format!("meta {pairs}")),
        (rule(), pairs()).prop_map(|(rule, pairs)| format!("params 5: {rule} {pairs}")),
        pairs().prop_map(|pairs| format!("utilization {pairs}")),
        (1u32..90).prop_map(|seconds| format!("op monitor interval={seconds}s timeout=20s")),
        (1u32..90).prop_map(|seconds| format!(
            "op monitor interval={seconds} role=Master OCF_CHECK_LEVEL=10"
        )),
        pairs().prop_map(|pairs| format!("op start timeout=60 op_params {pairs}")),
    ];
    (agent, proptest::collection::vec(part, 0..4)).prop_map(move |(agent, parts)| {
        let parts: Vec<String> = parts
            .into_iter()
            .map(|part| format!(" \\\n\t{part}"))
            .collect();
        format!("primitive p{id} {agent}{}\n", parts.concat())
    })
}

fn constraint(id: usize) -> impl Strategy<Value = String> {
    prop_oneof![
        Just(format!("location c{id} p6 100: n1\n")),
        rule().prop_map(move |rule| format!("location c{id} p6 {rule}\n")),
        Just(format!(
            "location c{id} /p.*/ role=Started resource-discovery=never -inf: n2\n"
        )),
        Just(format!("location c{id} {{ p6 ( p7 p8 ) }} inf: n1\n")),
        Just(format!("colocation c{id} inf: p6:Master p7\n")),
        Just(format!(
            "colocation c{id} 10: p6 ( p7 p8 ) node-attribute=rack\n"
        )),
        Just(format!(
            "colocation c{id} inf: [ p6 p7 sequential=true ] p8\n"
        )),
        Just(format!(
            "order c{id} Mandatory: p6:promote p7:start symmetrical=false\n"
        )),
        Just(format!("order c{id} Optional: p6 [ p7 p8 ]\n")),
        Just(format!("order c{id} Serialize: p6 p7 p8\n")),
        Just(format!(
            "rsc_ticket c{id} t1: p6 p7:Master loss-policy=fence\n"
        )),
    ]
}

prop_compose! {
    /// A text of every kind of statement.
    fn text()(
        primitives in (0usize..9).prop_flat_map(|_| (primitive(0), primitive(1), primitive(2), primitive(3), primitive(4), primitive(5), primitive(6), primitive(7), primitive(8))),
        constraints in (constraint(0), constraint(1), constraint(2)),
        options in pairs(),
        meta in pairs(),
        ruled in (rule(), pairs()),
    ) -> String {
        let (a, b, c, d, e, f, g, h, i) = primitives;
        let (x, y, z) = constraints;
        format!(
            "# made\nnode n1 attributes {options}\nnode 2: n2\n{a}{b}{c}{d}{e}{f}{g}{h}{i}\
             group g p0 p1 meta {meta}\nclone cl p2 meta {meta}\nms m p3\ngroup g2 p4\nclone cg g2 params {meta}\n\
             primitive inner Dummy\nbundle b podman image=x replicas=2 network ip-range-start=10.0.0.1 port-mapping port=80 \
             storage storage-mapping source-dir=/a target-dir=/b primitive inner meta {meta}\n{x}{y}{z}\
             tag t: p6 c0\nfencing_topology n1: p5 n2: p5,p6 p7\nproperty {options}\nproperty other: {options}\n\
             rsc_defaults {ruled_rule} {ruled_pairs}\nop_defaults {meta}\n\
             alert al /bin/x attributes {meta} select nodes attributes {{ u v }} to {{ \"r s\" meta {meta} }}\n\
             role r1 read status write meta:p6:target-role deny xpath:\"//x\"\nacl_target u r1\nacl_group w r1\n",
            ruled_rule = ruled.0, ruled_pairs = ruled.1,
        )
    }
}

/// The same cases in every run; `QUORATE_PROPERTY_SEED` and `PROPTEST_CASES` give others and more.
fn config() -> ProptestConfig {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let cases = number("PROPTEST_CASES")
        .and_then(|cases| u32::try_from(cases).ok())
        .unwrap_or(48);
    let seed = number("QUORATE_PROPERTY_SEED").unwrap_or(1);
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn crm_to_xml_to_crm_is_a_fixed_point(text in text()) {
        let (document, diagnostics) = parse(&text);
        let errors: Vec<_> = diagnostics.iter().filter(|d| d.severity == Severity::Error).map(|d| &d.message).collect();
        prop_assume!(!errors.iter().any(|message| message.contains("would be a parameter") || message.contains("twice")));
        prop_assert!(errors.is_empty(), "{errors:?}\n{text}");
        let first = document.configuration();
        let xml = write::configuration(first);
        let second = read(&xml).expect("our own XML is good").configuration;
        prop_assert!(*first == second, "XML loses something");
        let third = from_cib(&second);
        let found = differences(first, third.configuration());
        prop_assert!(found.is_empty(), "{found:?}\n{}", third.print());
        prop_assert_eq!(print(third.configuration()), third.print());
    }

    #[test]
    fn no_text_brings_the_reader_down(text in "[ -~\n\\\\\"'=:(){}\\[\\]]{0,300}") {
        let (document, _) = parse(&text);
        prop_assert_eq!(document.print(), text.as_str());
    }

    #[test]
    fn no_order_of_words_brings_the_reader_down(words in proptest::collection::vec(prop_oneof![
        Just("primitive"), Just("group"), Just("location"), Just("order"), Just("rule"), Just("date"), Just("in"), Just("params"),
        Just("op"), Just("("), Just(")"), Just("["), Just("{"), Just("}"), Just("a"), Just("b"), Just("a=b"), Just("$id=x"), Just("@x"),
        Just("inf:"), Just("\n"), Just("\\\n"), Just("xml"), Just("<a/>"), Just("alert"), Just("to"), Just("select"), Just("role"),
        Just("read"), Just("bundle"), Just("docker"), Just("fencing_topology"), Just("property"), Just("monitor"), Just("and"), Just("eq"),
        Just("ocf:x:y"), Just("node"), Just("tag"), Just("clone"), Just("10s"), Just("\""), Just("#uname")
    ], 0..60)) {
        let text = words.join(" ");
        let (document, diagnostics) = check(&text, &Facts::default());
        prop_assert_eq!(document.print(), text.as_str());
        for diagnostic in &diagnostics {
            for span in diagnostic.span.iter().chain(diagnostic.fixes.iter().map(|fix| &fix.span)) {
                prop_assert!(text.get(span.start..span.end).is_some());
            }
        }
        let _ = has_errors(&diagnostics);
    }
}

#[test]
fn large_texts_are_read_in_linear_time() {
    let mut text = String::new();
    for number in 0..5_000 {
        text.push_str(&format!("primitive p{number} ocf:heartbeat:Dummy params state=/run/{number} op monitor interval=10s timeout=20s\n"));
        text.push_str(&format!(
            "location l{number} p{number} 100: n{}\n",
            number % 16
        ));
    }
    let (document, diagnostics) = parse(&text);
    assert!(diagnostics.is_empty());
    assert_eq!(document.configuration().resources.len(), 5_000);
}

#[test]
fn pairs_behind_a_nodes_name_are_its_attributes() {
    let (short, found) = quorate_model::crm::parse("node a standby=on\n");
    assert!(found.is_empty(), "{found:?}");
    let (long, _) = quorate_model::crm::parse("node a attributes standby=on\n");
    assert_eq!(short.configuration(), long.configuration());
}
