//! Third stage: which node each instance gets, and in which role.

mod bundle;
mod clone;
mod coloc;
mod group;
mod instances;
mod nodes;
mod primitive;
mod promotable;
mod related;
mod utilization;

use crate::options::Strategy;
use crate::score::{Score, text};
use crate::world::{Kind, NodeIx, RscIx, World};

/// Whether a failed assignment means that the resource stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfNone {
    Stop,
    Keep,
}

impl World<'_> {
    /// Places everything.
    pub fn place(&mut self) {
        if self.opts.strategy != Strategy::Default {
            self.sort_for_utilization();
        }
        if self.have_remote {
            for r in self.top.clone() {
                if self.rscs[r].remote_connection {
                    let target = self.rscs[r].partial_target;
                    self.assign(r, target, IfNone::Stop);
                }
            }
        }
        for r in self.top.clone() {
            if !self.rscs[r].remote_connection {
                self.assign(r, None, IfNone::Stop);
            }
        }
    }

    /// Places one resource (and all below it); the node, where it is one.
    pub fn assign(&mut self, r: RscIx, prefer: Option<NodeIx>, if_none: IfNone) -> Option<NodeIx> {
        match self.rscs[r].kind {
            Kind::Primitive => self.assign_primitive(r, prefer, if_none),
            Kind::Group(_) => self.assign_group(r, prefer, if_none),
            Kind::Clone(_) => {
                self.assign_clone(r, prefer, if_none);
                None
            }
            Kind::Bundle(_) => {
                self.assign_bundle(r, prefer, if_none);
                None
            }
        }
    }

    /// Notes scores for whoever asked to see them.
    pub fn log_scores(&mut self, who: &str, r: RscIx) {
        if self.score_log.is_none() {
            return;
        }
        let mut lines = Vec::new();
        self.score_lines(who, r, &mut lines);
        if let Some(log) = &mut self.score_log {
            log.extend(lines);
        }
    }

    fn score_lines(&self, who: &str, r: RscIx, out: &mut Vec<String>) {
        let rsc = &self.rscs[r];
        if rsc.removed {
            return;
        }
        for (n, cell) in rsc.allowed.iter().enumerate() {
            if cell.allowed {
                out.push(format!(
                    "{who}: {} allocation score on {}: {}",
                    rsc.id,
                    self.nodes[n].name,
                    text(cell.score)
                ));
            }
        }
        for &c in &rsc.children {
            self.score_lines(who, c, out);
        }
    }

    /// A resource's score on a node.
    pub fn score_on(&self, r: RscIx, n: NodeIx) -> Score {
        self.rscs[r].allowed[n].score
    }
}
