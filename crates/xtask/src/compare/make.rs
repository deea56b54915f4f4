//! Random clusters: a few resources of every kind, with constraints between them.

use super::dice::Dice;
use super::element::Element;

/// Makes configurations.
pub struct Maker<'d> {
    pub dice: &'d mut Dice,
    /// Primitives that constraints may name, and their kinds' tops.
    tops: Vec<Top>,
    nodes: Vec<String>,
    remote: Vec<String>,
    number: usize,
    opt_in: bool,
}

#[derive(Clone)]
struct Top {
    id: String,
    promotable: bool,
    clone: bool,
    members: Vec<String>,
}

const SCORES: [&str; 8] = [
    "INFINITY",
    "-INFINITY",
    "INFINITY",
    "100",
    "-100",
    "10",
    "1",
    "500",
];

impl<'d> Maker<'d> {
    pub fn new(dice: &'d mut Dice) -> Self {
        Maker {
            dice,
            tops: Vec::new(),
            nodes: Vec::new(),
            remote: Vec::new(),
            number: 0,
            opt_in: false,
        }
    }

    fn id(&mut self, what: &str) -> String {
        self.number += 1;
        format!("{what}-{}", self.number)
    }

    fn set(&mut self, kind: &str, pairs: &[(String, String)]) -> Option<Element> {
        if pairs.is_empty() {
            return None;
        }
        let id = self.id("set");
        let pairs: Vec<Element> = pairs
            .iter()
            .map(|(n, v)| {
                Element::new("nvpair")
                    .with("id", format!("{id}-{}", n.replace('#', ".")))
                    .with("name", n)
                    .with("value", v)
            })
            .collect();
        Some(Element::new(kind).with("id", id).holding(pairs))
    }

    fn metas(&mut self, list: &[(&str, &[&str], usize)]) -> Vec<(String, String)> {
        let mut out = Vec::new();
        for (name, values, percent) in list {
            if self.dice.chance(*percent) {
                let value = (*self.dice.pick(values)).to_owned();
                out.push(((*name).to_owned(), value));
            }
        }
        out
    }

    /// The whole information base, nothing known of any resource.
    pub fn cib(&mut self) -> Element {
        let count = 1 + self.dice.below(4);
        self.nodes = (1..=count).map(|n| format!("n{n}")).collect();
        let options = self.options();
        let nodes = self.node_elements();
        let resources = self.resources();
        let constraints = self.constraints();
        let mut configuration = Element::new("configuration").holding([
            Element::new("crm_config").holding(options),
            Element::new("nodes").holding(nodes),
            Element::new("resources").holding(resources),
            Element::new("constraints").holding(constraints),
        ]);
        let defaults = self.metas(&[
            ("resource-stickiness", &["100", "1", "INFINITY"], 30),
            ("migration-threshold", &["1", "3"], 10),
            ("failure-timeout", &["60s"], 6),
        ]);
        if let Some(set) = self.set("meta_attributes", &defaults) {
            configuration
                .children
                .push(Element::new("rsc_defaults").holding([set]));
        }
        let states: Vec<Element> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(n, name)| state(n + 1, name))
            .collect();
        let quorum = if self.dice.chance(12) { 0 } else { 1 };
        Element::new("cib")
            .with("crm_feature_set", "3.15.0")
            .with("validate-with", "pacemaker-3.8")
            .with("epoch", 1)
            .with("num_updates", 0)
            .with("admin_epoch", 0)
            .with("have-quorum", quorum)
            .with("dc-uuid", 1)
            .holding([configuration, Element::new("status").holding(states)])
    }

    fn options(&mut self) -> Option<Element> {
        let mut pairs = self.metas(&[
            (
                "no-quorum-policy",
                &["ignore", "freeze", "stop", "demote", "suicide"],
                25,
            ),
            ("symmetric-cluster", &["false"], 10),
            ("stop-all-resources", &["true"], 2),
            ("maintenance-mode", &["true"], 3),
            ("start-failure-is-fatal", &["false"], 10),
            ("enable-startup-probes", &["false"], 5),
            ("stop-orphan-resources", &["false"], 4),
            ("stonith-action", &["off"], 5),
            ("concurrent-fencing", &["false"], 8),
            (
                "placement-strategy",
                &["utilization", "balanced", "minimal"],
                12,
            ),
            (
                "node-health-strategy",
                &["migrate-on-red", "only-green", "progressive"],
                5,
            ),
            ("startup-fencing", &["false"], 4),
            ("priority-fencing-delay", &["30s"], 4),
        ]);
        self.opt_in = pairs.iter().any(|(n, _)| n == "symmetric-cluster");
        let fencing = self.dice.chance(55);
        pairs.push(("stonith-enabled".to_owned(), fencing.to_string()));
        let set = self.set("cluster_property_set", &pairs);
        set.map(|mut s| {
            s.set("id", "cib-bootstrap-options");
            s
        })
    }

    fn node_elements(&mut self) -> Vec<Element> {
        let mut out = Vec::new();
        for n in 0..self.nodes.len() {
            let name = self.nodes[n].clone();
            let mut pairs = self.metas(&[
                ("a", &["1", "2"], 25),
                ("standby", &["on"], 5),
                ("maintenance", &["true"], 3),
                ("#health-x", &["red", "yellow", "green"], 5),
            ]);
            pairs.dedup();
            let mut node = Element::new("node").with("id", n + 1).with("uname", &name);
            node.children
                .extend(self.set("instance_attributes", &pairs));
            if self.dice.chance(30) {
                let cpu = (1 + self.dice.below(4)).to_string();
                node.children
                    .extend(self.set("utilization", &[("cpu".to_owned(), cpu)]));
            }
            out.push(node);
        }
        out
    }

    fn resources(&mut self) -> Vec<Element> {
        let mut out = Vec::new();
        if self.dice.chance(70) {
            out.push(
                Element::new("primitive")
                    .with("id", "fence")
                    .with("class", "stonith")
                    .with("type", "fence_xvm"),
            );
        }
        for n in 0..1 + self.dice.below(4) {
            match self.dice.below(20) {
                0..=7 => {
                    let id = format!("p{n}");
                    out.push(self.primitive(&id, Kind::Plain));
                    self.tops.push(Top {
                        members: vec![id.clone()],
                        id,
                        promotable: false,
                        clone: false,
                    });
                }
                8..=11 => {
                    let group = self.group(n);
                    let members = group.children.iter().filter(|c| c.name == "primitive");
                    let members = members
                        .filter_map(|c| c.get("id").map(str::to_owned))
                        .collect();
                    self.tops.push(Top {
                        id: format!("g{n}"),
                        promotable: false,
                        clone: false,
                        members,
                    });
                    out.push(group);
                }
                12..=14 => out.push(self.clone_of(n, false)),
                15..=17 => out.push(self.clone_of(n, true)),
                18 => {
                    let remote = self.remote_node(n);
                    out.push(remote);
                }
                _ => {
                    let guest = self.guest(n);
                    out.push(guest);
                }
            }
        }
        out
    }

    fn primitive(&mut self, id: &str, kind: Kind) -> Element {
        let agent = if kind == Kind::Promotable {
            "Stateful"
        } else {
            "Dummy"
        };
        let mut out = Element::new("primitive")
            .with("id", id)
            .with("class", "ocf")
            .with("provider", "pacemaker")
            .with("type", agent);
        let metas = self.metas(&[
            ("resource-stickiness", &["0", "50", "INFINITY", "-1"], 10),
            ("target-role", &["Stopped", "Started", "Slave"], 9),
            ("is-managed", &["false"], 5),
            ("priority", &["5", "10", "-5"], 12),
            ("migration-threshold", &["1", "2"], 12),
            ("failure-timeout", &["60s"], 5),
            ("allow-migrate", &["true"], 12),
            (
                "multiple-active",
                &["stop_only", "block", "stop_unexpected"],
                8,
            ),
            ("requires", &["nothing", "quorum", "fencing"], 8),
            ("critical", &["false"], 6),
            ("maintenance", &["true"], 2),
            ("restart-type", &["restart"], 4),
        ]);
        out.children.extend(self.set("meta_attributes", &metas));
        if self.dice.chance(20) {
            let cpu = (1 + self.dice.below(3)).to_string();
            out.children
                .extend(self.set("utilization", &[("cpu".to_owned(), cpu)]));
        }
        let mut ops = Vec::new();
        let on_fail = [
            "ignore", "block", "stop", "restart", "standby", "fence", "demote",
        ];
        let mut op = |dice: &mut Dice, name: &str, interval: &str, role: Option<&str>| {
            let mut element = Element::new("op")
                .with("id", format!("{id}-{name}-{interval}"))
                .with("name", name)
                .with("interval", interval);
            if let Some(role) = role {
                element.set("role", role);
            }
            if dice.chance(25) {
                let policy = *dice.pick(&on_fail);
                if policy != "demote" || name == "promote" || role == Some("Master") {
                    element.set("on-fail", policy);
                }
            }
            ops.push(element);
        };
        if self.dice.chance(70) {
            let role = (kind == Kind::Promotable).then_some("Slave");
            op(self.dice, "monitor", "10s", role);
        }
        if kind == Kind::Promotable && self.dice.chance(70) {
            op(self.dice, "monitor", "11s", Some("Master"));
        }
        if self.dice.chance(1) {
            op(self.dice, "monitor", "20s", Some("Stopped"));
        }
        for name in ["start", "stop", "promote", "demote"] {
            if self.dice.chance(10)
                && (kind == Kind::Promotable || matches!(name, "start" | "stop"))
            {
                op(self.dice, name, "0", None);
            }
        }
        if !ops.is_empty() {
            out.children.push(Element::new("operations").holding(ops));
        }
        out
    }

    fn group(&mut self, n: usize) -> Element {
        let mut out = Element::new("group").with("id", format!("g{n}"));
        let metas = self.metas(&[
            ("target-role", &["Stopped", "Started"], 6),
            ("ordered", &["false"], 8),
            ("collocated", &["false"], 8),
            ("is-managed", &["false"], 3),
            ("priority", &["5"], 5),
            ("resource-stickiness", &["100"], 8),
        ]);
        out.children.extend(self.set("meta_attributes", &metas));
        for m in 0..1 + self.dice.below(3) {
            let member = self.primitive(&format!("g{n}m{m}"), Kind::Plain);
            out.children.push(member);
        }
        out
    }

    fn clone_of(&mut self, n: usize, promotable: bool) -> Element {
        let id = format!("c{n}");
        let mut metas = self.metas(&[
            ("clone-max", &["1", "2", "3", "0"], 30),
            ("clone-node-max", &["1", "2"], 12),
            ("interleave", &["true"], 35),
            ("ordered", &["true"], 20),
            ("notify", &["true"], 20),
            ("globally-unique", &["true", "false"], 15),
            ("target-role", &["Stopped", "Slave", "Started"], 8),
            ("is-managed", &["false"], 3),
            ("resource-stickiness", &["100"], 8),
        ]);
        // More than one instance a node means, in newer versions, that they can be told apart.
        let several = metas.iter().any(|(n, v)| n == "clone-node-max" && v != "1");
        if several {
            let mut say = |name: &str, value: &str| {
                if !metas.iter().any(|(n, _)| n == name) {
                    metas.push((name.to_owned(), value.to_owned()));
                }
            };
            say("globally-unique", "true");
            say("clone-max", "2");
        }
        if promotable {
            metas.push(("promotable".to_owned(), "true".to_owned()));
            let more = self.metas(&[
                ("promoted-max", &["1", "2", "0"], 25),
                ("promoted-node-max", &["1", "2"], 6),
            ]);
            metas.extend(more);
        }
        let mut out = Element::new("clone").with("id", &id);
        out.children.extend(self.set("meta_attributes", &metas));
        let kind = if promotable {
            Kind::Promotable
        } else {
            Kind::Plain
        };
        let mut members = Vec::new();
        if self.dice.chance(25) {
            let mut group = Element::new("group").with("id", format!("cg{n}"));
            for m in 0..1 + self.dice.below(2) {
                let member = format!("c{n}m{m}");
                group.children.push(self.primitive(&member, kind));
                members.push(member);
            }
            out.children.push(group);
        } else {
            let inner = format!("c{n}p");
            out.children.push(self.primitive(&inner, kind));
            members.push(inner);
        }
        self.tops.push(Top {
            id,
            promotable,
            clone: true,
            members,
        });
        out
    }

    fn remote_node(&mut self, n: usize) -> Element {
        let id = format!("r{n}");
        self.remote.push(id.clone());
        self.tops.push(Top {
            id: id.clone(),
            promotable: false,
            clone: false,
            members: vec![id.clone()],
        });
        let mut out = Element::new("primitive")
            .with("id", &id)
            .with("class", "ocf")
            .with("provider", "pacemaker")
            .with("type", "remote");
        if self.dice.chance(25) {
            out.children.extend(self.set(
                "instance_attributes",
                &[("reconnect_interval".to_owned(), "60s".to_owned())],
            ));
        }
        let op = Element::new("op")
            .with("id", format!("{id}-m"))
            .with("name", "monitor")
            .with("interval", "30s");
        out.children.push(Element::new("operations").holding([op]));
        out
    }

    fn guest(&mut self, n: usize) -> Element {
        let id = format!("vm{n}");
        let guest = format!("guest{n}");
        self.remote.push(guest.clone());
        let mut out = self.primitive(&id, Kind::Plain);
        out.children.retain(|c| c.name != "meta_attributes");
        let mut pairs = vec![("remote-node".to_owned(), guest)];
        if self.dice.chance(20) {
            pairs.push(("allow-migrate".to_owned(), "true".to_owned()));
        }
        let set = self.set("meta_attributes", &pairs);
        out.children.splice(0..0, set);
        self.tops.push(Top {
            id: id.clone(),
            promotable: false,
            clone: false,
            members: vec![id],
        });
        out
    }

    fn constraints(&mut self) -> Vec<Element> {
        let mut out = Vec::new();
        if self.tops.is_empty() {
            return out;
        }
        // Where nothing may run unless it is told to, something is told to.
        for top in self.tops.clone() {
            if self.opt_in {
                let id = self.id("in");
                let node = self.node();
                let score = *self.dice.pick(&["0", "100"]);
                out.push(
                    Element::new("rsc_location")
                        .with("id", id)
                        .with("rsc", &top.id)
                        .with("node", node)
                        .with("score", score),
                );
            }
        }
        for _ in 0..self.dice.below(5) {
            let made = match self.dice.below(12) {
                0..=3 => self.location(),
                4..=6 => self.colocation(),
                7..=9 => self.order(),
                10 => self.sets(),
                _ => self.ticket(),
            };
            out.extend(made);
        }
        out
    }

    fn who(&mut self) -> Top {
        let top = self.dice.pick(&self.tops).clone();
        // A member by itself, now and then.
        if self.dice.chance(15) && !top.clone {
            let member = self.dice.pick(&top.members).clone();
            return Top { id: member, ..top };
        }
        top
    }

    fn node(&mut self) -> String {
        if !self.remote.is_empty() && self.dice.chance(25) {
            return self.dice.pick(&self.remote).clone();
        }
        self.dice.pick(&self.nodes).clone()
    }

    fn location(&mut self) -> Option<Element> {
        let who = self.who();
        let id = self.id("loc");
        let score = *self.dice.pick(&SCORES);
        let mut out = Element::new("rsc_location")
            .with("id", &id)
            .with("rsc", &who.id);
        if self.dice.chance(25) {
            let value = *self.dice.pick(&["1", "2"]);
            let operation = *self.dice.pick(&["eq", "ne", "lt", "gte"]);
            let mut rule = Element::new("rule")
                .with("id", format!("{id}-r"))
                .with("score", score);
            if who.promotable && self.dice.chance(50) {
                rule.set("role", "Master");
            }
            let expression = if self.dice.chance(25) {
                Element::new("expression")
                    .with("id", format!("{id}-e"))
                    .with("attribute", "a")
                    .with("operation", *self.dice.pick(&["defined", "not_defined"]))
            } else {
                Element::new("expression")
                    .with("id", format!("{id}-e"))
                    .with("attribute", "a")
                    .with("operation", operation)
                    .with("value", value)
            };
            return Some(out.holding([rule.holding([expression])]));
        }
        out.set("node", self.node());
        out.set("score", score);
        if who.promotable && self.dice.chance(50) {
            out.set("role", *self.dice.pick(&["Master", "Slave"]));
        }
        if self.dice.chance(10) {
            out.set(
                "resource-discovery",
                *self.dice.pick(&["never", "exclusive"]),
            );
        }
        Some(out)
    }

    fn two(&mut self) -> Option<(Top, Top)> {
        let (a, b) = (self.who(), self.who());
        let apart = a.id != b.id && !a.members.contains(&b.id) && !b.members.contains(&a.id);
        apart.then_some((a, b))
    }

    fn colocation(&mut self) -> Option<Element> {
        let (a, b) = self.two()?;
        let id = self.id("col");
        let mut out = Element::new("rsc_colocation")
            .with("id", id)
            .with("rsc", &a.id)
            .with("with-rsc", &b.id)
            .with("score", *self.dice.pick(&SCORES));
        if a.promotable && self.dice.chance(50) {
            out.set("rsc-role", *self.dice.pick(&["Master", "Slave"]));
        }
        if b.promotable && self.dice.chance(60) {
            out.set(
                "with-rsc-role",
                *self.dice.pick(&["Master", "Master", "Slave"]),
            );
        }
        if self.dice.chance(8) {
            out.set("node-attribute", "a");
        }
        if self.dice.chance(8) {
            out.set("influence", "false");
        }
        Some(out)
    }

    fn order(&mut self) -> Option<Element> {
        let (a, b) = self.two()?;
        let id = self.id("ord");
        let mut out = Element::new("rsc_order")
            .with("id", id)
            .with("first", &a.id)
            .with("then", &b.id);
        if self.dice.chance(60) {
            out.set(
                "kind",
                *self.dice.pick(&["Mandatory", "Optional", "Serialize"]),
            );
        }
        if self.dice.chance(25) && out.get("kind") != Some("Serialize") {
            out.set("symmetrical", "false");
        }
        let actions = |top: &Top| -> &'static [&'static str] {
            if top.promotable {
                &["start", "stop", "promote", "promote", "demote"]
            } else {
                &["start", "start", "stop"]
            }
        };
        if self.dice.chance(if a.promotable { 70 } else { 15 }) {
            out.set("first-action", *self.dice.pick(actions(&a)));
        }
        if self.dice.chance(if b.promotable { 40 } else { 15 }) {
            out.set("then-action", *self.dice.pick(actions(&b)));
        }
        if a.clone && self.dice.chance(15) {
            out.set("require-all", "false");
        }
        Some(out)
    }

    fn sets(&mut self) -> Option<Element> {
        let mut ids: Vec<Top> = self.tops.clone();
        if ids.len() < 2 {
            return None;
        }
        if self.dice.chance(50) {
            ids.reverse();
        }
        let id = self.id("sets");
        let cut = 1 + self.dice.below(ids.len());
        let colocation = self.dice.chance(50);
        let mut sets = Vec::new();
        for (n, part) in [&ids[..cut], &ids[cut..]].into_iter().enumerate() {
            if part.is_empty() {
                continue;
            }
            let mut set = Element::new("resource_set").with("id", format!("{id}-{n}"));
            if self.dice.chance(40) {
                set.set("sequential", "false");
            }
            if !colocation && self.dice.chance(20) {
                set.set("require-all", "false");
                set.set("sequential", "false");
            }
            sets.push(
                set.holding(
                    part.iter()
                        .map(|t| Element::new("resource_ref").with("id", &t.id)),
                ),
            );
        }
        let mut out = if colocation {
            Element::new("rsc_colocation")
                .with("id", id)
                .with("score", *self.dice.pick(&SCORES))
        } else {
            Element::new("rsc_order").with("id", id)
        };
        if !colocation && self.dice.chance(40) {
            out.set(
                "kind",
                *self.dice.pick(&["Optional", "Serialize", "Mandatory"]),
            );
        }
        Some(out.holding(sets))
    }

    fn ticket(&mut self) -> Option<Element> {
        let who = self.who();
        let id = self.id("tick");
        let mut out = Element::new("rsc_ticket")
            .with("id", id)
            .with("ticket", "T")
            .with("rsc", &who.id);
        if who.promotable && self.dice.chance(50) {
            out.set("rsc-role", "Master");
        }
        if self.dice.chance(60) {
            out.set(
                "loss-policy",
                *self.dice.pick(&["stop", "demote", "fence", "freeze"]),
            );
        }
        Some(out)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Promotable,
}

/// A node that is up and of which nothing is known.
fn state(id: usize, name: &str) -> Element {
    Element::new("node_state")
        .with("id", id)
        .with("uname", name)
        .with("in_ccm", "true")
        .with("crmd", "online")
        .with("join", "member")
        .with("expected", "member")
        .with("crm-debug-origin", "x")
        .holding([Element::new("lrm")
            .with("id", id)
            .holding([Element::new("lrm_resources")])])
}
