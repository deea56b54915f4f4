//! Small clusters made up at random: configurations as an operator would write them, and what happened since.
#![allow(dead_code)]

use proptest::prelude::*;
use quorate_model::cib::Cib;
use quorate_policy::Options;
use quorate_policy::converge::{all_up, settle};
use quorate_policy::event::{Event, apply, judge_quorum};

pub const NOW: i64 = 1_700_000_000;

pub fn options() -> Options {
    #[allow(clippy::needless_update)]
    Options {
        now: NOW,
        ..Options::default()
    }
}

/// What an operator wrote, and what happened.
#[derive(Debug, Clone)]
pub struct Made {
    /// Statements, one a line.
    pub statements: Vec<String>,
    /// What happened after everything was started.
    pub events: Vec<String>,
}

impl Made {
    pub fn text(&self) -> String {
        self.statements.join("\n") + "\n"
    }

    /// Configuration without status.
    pub fn configured(&self) -> Cib {
        let (document, diagnostics) = quorate_model::crm::parse(&self.text());
        let errors: Vec<_> = diagnostics
            .iter()
            .filter(|d| d.severity == quorate_model::diag::Severity::Error)
            .collect();
        assert!(errors.is_empty(), "{}\n{errors:?}", self.text());
        Cib {
            configuration: document.into_configuration(),
            ..Cib::default()
        }
    }

    /// Everything up, nothing known yet.
    pub fn fresh(&self) -> Cib {
        all_up(self.configured())
    }

    /// Settled, then struck by the events (those that make no sense are left out).
    pub fn struck(&self) -> Cib {
        let mut cib = settle(&self.fresh(), &options()).cib;
        for text in &self.events {
            let event = Event::parse(text).expect("a made event has a known form");
            let mut changed = cib.clone();
            if apply(&mut changed, &event, NOW).is_ok() {
                judge_quorum(&mut changed, NOW, 0, 0);
                cib = changed;
            }
        }
        cib
    }
}

const NODES: [&str; 4] = ["n1", "n2", "n3", "n4"];

fn score() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("inf"),
        Just("-inf"),
        Just("100"),
        Just("50"),
        Just("-20"),
        Just("7")
    ]
}

/// Kinds of resources at the top, with the primitives in them.
#[derive(Debug, Clone, Copy)]
enum Top {
    Plain,
    Group,
    Clone,
    Promotable,
}

fn metas() -> impl Strategy<Value = String> {
    let one = prop_oneof![
        8 => Just(String::new()),
        2 => Just(" resource-stickiness=30".to_owned()),
        1 => Just(" target-role=Stopped".to_owned()),
        2 => Just(" migration-threshold=1".to_owned()),
        1 => Just(" priority=5".to_owned()),
        1 => Just(" is-managed=false".to_owned()),
        1 => Just(" failure-timeout=60s".to_owned()),
        1 => Just(" allow-migrate=true".to_owned()),
    ];
    one.prop_map(|m| if m.is_empty() { m } else { format!(" meta{m}") })
}

fn monitor() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        4 => Just(" op monitor interval=10s"),
        1 => Just(""),
        1 => Just(" op monitor interval=10s on-fail=stop"),
        1 => Just(" op monitor interval=10s on-fail=block"),
        1 => Just(" op monitor interval=10s on-fail=standby"),
    ]
}

/// A resource at the top: its statements, its id, its primitives.
fn top(ix: usize) -> impl Strategy<Value = (Vec<String>, String, Vec<String>)> {
    let kind = prop_oneof![3 => Just(Top::Plain), 2 => Just(Top::Group), 1 => Just(Top::Clone), 1 => Just(Top::Promotable)];
    (
        kind,
        1..4usize,
        prop::collection::vec((metas(), monitor()), 3),
        metas(),
        1..4u32,
    )
        .prop_map(move |(kind, size, details, meta, number)| {
            let count = if matches!(kind, Top::Group) { size } else { 1 };
            let names: Vec<String> = (0..count)
                .map(|m| format!("r{ix}{}", ["a", "b", "c"][m]))
                .collect();
            let agent = if matches!(kind, Top::Promotable) {
                "ocf:pacemaker:Stateful"
            } else {
                "ocf:heartbeat:Dummy"
            };
            let mut lines: Vec<String> = names
                .iter()
                .zip(&details)
                .map(|(name, (meta, monitor))| {
                    let monitor = if matches!(kind, Top::Promotable) {
                        ""
                    } else {
                        monitor
                    };
                    format!("primitive {name} {agent}{meta}{monitor}")
                })
                .collect();
            let id = match kind {
                Top::Plain => names[0].clone(),
                Top::Group => {
                    lines.push(format!("group g{ix} {}{meta}", names.join(" ")));
                    format!("g{ix}")
                }
                Top::Clone => {
                    lines.push(format!(
                        "clone c{ix} {} meta clone-max={number} clone-node-max=1",
                        names[0]
                    ));
                    format!("c{ix}")
                }
                Top::Promotable => {
                    lines.push(format!(
                        "clone c{ix} {} meta promotable=true promoted-max=1 clone-max={number}",
                        names[0]
                    ));
                    format!("c{ix}")
                }
            };
            (lines, id, names)
        })
}

fn constraints(ids: Vec<String>, nodes: usize) -> impl Strategy<Value = Vec<String>> {
    let any = prop::sample::select(ids.clone());
    let other = prop::sample::select(ids);
    let node = prop::sample::select(NODES[..nodes].to_vec());
    let one = prop_oneof![
        3 => (any.clone(), score(), node).prop_map(|(r, s, n)| format!("location LID {r} {s}: {n}")),
        2 => (any.clone(), other.clone(), score()).prop_map(|(a, b, s)| if a == b { String::new() } else { format!("colocation CID {s}: {a} {b}") }),
        2 => (any, other, prop::sample::select(vec!["Mandatory", "Optional", "Serialize"]))
            .prop_map(|(a, b, k)| if a == b { String::new() } else { format!("order OID {k}: {a} {b}") }),
    ];
    prop::collection::vec(one, 0..5).prop_map(|lines| {
        let named = |(ix, line): (usize, String)| {
            line.replace("LID", &format!("l{ix}"))
                .replace("CID", &format!("k{ix}"))
                .replace("OID", &format!("o{ix}"))
        };
        lines
            .into_iter()
            .filter(|l| !l.is_empty())
            .enumerate()
            .map(named)
            .collect()
    })
}

fn properties() -> impl Strategy<Value = Vec<String>> {
    let fencing = prop_oneof![
        Just(vec![
            "property stonith-enabled=false no-quorum-policy=ignore".to_owned()
        ]),
        Just(vec![
            "primitive power stonith:external/ssh params hostlist=x".to_owned(),
            "property stonith-enabled=true".to_owned()
        ]),
    ];
    let defaults = prop_oneof![2 => Just(None), 1 => Just(Some("rsc_defaults resource-stickiness=10".to_owned())),
        1 => Just(Some("rsc_defaults migration-threshold=2".to_owned()))];
    (fencing, defaults).prop_map(|(mut lines, defaults)| {
        lines.extend(defaults);
        lines
    })
}

fn event(primitives: Vec<String>, nodes: usize) -> impl Strategy<Value = String> {
    let node = prop::sample::select(NODES[..nodes].to_vec());
    let primitive = prop::sample::select(primitives);
    prop_oneof![
        node.clone().prop_map(|n| format!("node {n} down")),
        node.clone().prop_map(|n| format!("node {n} standby")),
        node.prop_map(|n| format!("node {n} maintenance")),
        primitive
            .clone()
            .prop_map(|r| format!("monitor of {r} fails")),
        primitive
            .clone()
            .prop_map(|r| format!("start of {r} fails")),
        primitive.prop_map(|r| format!("stop of {r} fails")),
    ]
}

/// A cluster of two to four nodes.
pub fn made() -> impl Strategy<Value = Made> {
    let base = (2..5usize, 1..4usize).prop_flat_map(|(nodes, tops)| {
        let tops: Vec<_> = (0..tops).map(|ix| top(ix).boxed()).collect();
        (Just(nodes), tops, properties())
    });
    base.prop_flat_map(|(nodes, tops, properties)| {
        let ids: Vec<String> = tops.iter().map(|(_, id, _)| id.clone()).collect();
        let primitives: Vec<String> = tops.iter().flat_map(|(_, _, p)| p.clone()).collect();
        let events = prop::collection::vec(event(primitives, nodes), 0..3);
        (
            Just(nodes),
            Just(tops),
            Just(properties),
            constraints(ids, nodes),
            events,
        )
    })
    .prop_map(|(nodes, tops, properties, constraints, events)| {
        let mut statements: Vec<String> =
            NODES[..nodes].iter().map(|n| format!("node {n}")).collect();
        statements.extend(tops.into_iter().flat_map(|(lines, _, _)| lines));
        statements.extend(constraints);
        statements.extend(properties);
        Made { statements, events }
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "a test may be told how long to search"
)]
/// So many cases, always the same ones; `PROPTEST_CASES` asks for more, and for others every time.
pub fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var("PROPTEST_CASES").is_ok() {
        return default;
    }
    ProptestConfig {
        cases,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_122),
        ..default
    }
}
