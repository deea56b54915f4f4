//! Starting: from what the disk holds to the first outputs.

use std::collections::{BTreeMap, VecDeque};

use super::{Engine, EngineOutput, EngineStart, Proposed, Reported, Restored};
use crate::consensus::saved::{self, SnapshotContent};
use crate::consensus::{Consensus, Out};
use crate::contact::{Contacts, Life};
use crate::event::{Effect, Peer};
use crate::ids::{LogIndex, Millis};
use crate::lease::{ExecutorLease, Succession};
use crate::pair::Pair;
use crate::rng::Rng;
use crate::start::Founder;
use crate::store::StoreError;
use crate::transfer::Transfers;
use crate::wire::entry::{Content, LogEntry};

impl Engine {
    /// Starts from what the disk holds. The outputs come first, before any step.
    ///
    /// # Errors
    /// The disk does not fit: it was made for another name, or its records contradict each other.
    pub fn start(start: EngineStart, now: Millis) -> Result<(Self, Vec<EngineOutput>), StoreError> {
        let disk = saved::decode(&start.saved)?;
        if disk.record.name != start.name {
            return Err(StoreError::WrongNode {
                found: disk.record.name,
                expected: start.name,
            });
        }
        let content: Option<SnapshotContent> = match disk.log.snapshot_index() {
            0 => None,
            _ => Some(decode_content(&disk.log.snapshot_record().content)?),
        };
        let replay: Vec<LogEntry> = disk
            .log
            .after(disk.log.snapshot_index())
            .take_while(|entry| entry.index <= disk.applied)
            .map(LogEntry::from_library)
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Damaged {
                what: format!("a configuration entry: {error}"),
            })?;
        let snapshot_index = disk.log.snapshot_index();
        let mut rng = Rng::new(start.seed);
        let consensus = Consensus::new(disk.record.raft_id, disk.log, disk.applied, rng.draw());
        let life = Life {
            incarnation: start.incarnation,
            start: disk.starts + 1,
        };
        let mut engine = Self {
            name: start.name,
            id: disk.record.raft_id,
            lineage: disk.record.lineage,
            life,
            first_contacts: start.identity.contacts,
            strangers: std::collections::BTreeMap::new(),
            settings: start.settings,
            now,
            next_tick: now,
            due: now,
            rng,
            consensus,
            roster: crate::roster::Roster::default(),
            contacts: Contacts::default(),
            lease: ExecutorLease::default(),
            succession: Succession::new(now),
            pair: Pair::default(),
            transfers: Transfers::default(),
            start_batch: None,
            is_removed: disk.record.removed,
            removal_batch: None,
            snapshot: None,
            proposals: BTreeMap::new(),
            changes: VecDeque::new(),
            proposed: Proposed::default(),
            reported: Reported::default(),
            refusals: BTreeMap::new(),
            outputs: Vec::new(),
            out: Vec::new(),
        };
        engine.restore(LogIndex(snapshot_index), content);
        for entry in replay {
            match entry.content {
                Content::Plain(data) => engine.carry_out(Out::Entry {
                    index: entry.index,
                    term: entry.term,
                    data,
                }),
                Content::Change(change) => engine.carry_out(Out::Changed {
                    index: entry.index,
                    change,
                }),
            }
        }
        let is_reused = crate::seeded::has(crate::seeded::Bug::StartNumberReused);
        let written = life.start - u64::from(is_reused);
        let mut out = std::mem::take(&mut engine.out);
        let batch = engine
            .consensus
            .persist(vec![saved::put_starts(written)], &mut out);
        engine.out = out;
        engine.start_batch = Some(batch);
        engine.announce_peers();
        engine.go_on();
        engine.due = engine.deadline();
        let outputs = std::mem::take(&mut engine.outputs);
        Ok((engine, outputs))
    }

    /// A replicated state replaces the one there is.
    pub(super) fn restore(&mut self, index: LogIndex, content: Option<SnapshotContent>) {
        let state = match content {
            None => Restored::Nothing,
            Some(content) => {
                self.roster = content.roster;
                match (content.manager, content.genesis) {
                    (Some(state), _) => Restored::State(state),
                    (None, Some(genesis)) => Restored::Genesis(genesis),
                    (None, None) => Restored::Nothing,
                }
            }
        };
        self.outputs.push(EngineOutput::Restore { index, state });
        self.outputs.push(EngineOutput::Membership {
            index,
            members: self.roster.members(),
            tag: None,
        });
    }

    /// Tells the links and the probes who the peers are.
    pub(super) fn announce_peers(&mut self) {
        let mut peers = self.roster.peers(&self.name);
        if self.roster.members.is_empty() {
            peers = self.first_contacts.iter().map(Founder::peer).collect();
            peers.retain(|peer: &Peer| peer.name != self.name);
        }
        self.contacts.set_peers(&peers, self.now);
        // Removed voters stay connected until they have acknowledged their removal, but are not probed.
        peers.extend(self.roster.departing_peers());
        self.outputs
            .push(EngineOutput::Effect(Effect::Peers(peers)));
    }
}

pub(super) fn decode_content(bytes: &[u8]) -> Result<SnapshotContent, StoreError> {
    minicbor::decode(bytes).map_err(|error| StoreError::Damaged {
        what: format!("the snapshot's content: {error}"),
    })
}
