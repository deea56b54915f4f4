//! An engine that keeps what it is given: the harness is the log.

use crate::engine::{EngineInput, EngineOutput, EngineStart};
use crate::ids::{Lineage, Millis};
use crate::store::StoreError;

/// Stands in for the engine.
#[derive(Debug)]
pub struct Engine {
    pub inputs: Vec<EngineInput>,
    pub has_lease: bool,
    now: Millis,
    lineage: Lineage,
}

impl Engine {
    #[allow(clippy::needless_pass_by_value, reason = "as the real one")]
    pub fn start(start: EngineStart, now: Millis) -> Result<(Self, Vec<EngineOutput>), StoreError> {
        let engine = Self {
            inputs: Vec::new(),
            has_lease: true,
            now,
            lineage: start.identity.lineage,
        };
        Ok((engine, Vec::new()))
    }

    pub fn step(&mut self, now: Millis, input: EngineInput) -> Vec<EngineOutput> {
        self.now = now;
        if !matches!(input, EngineInput::Tick) {
            self.inputs.push(input);
        }
        Vec::new()
    }

    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    pub fn deadline(&self) -> Millis {
        Millis(u64::MAX)
    }

    pub fn lease_until(&self) -> Option<Millis> {
        self.has_lease.then_some(Millis(u64::MAX))
    }

    pub fn leader_lease_until(&self) -> Option<Millis> {
        self.has_lease.then_some(Millis(u64::MAX))
    }
}
