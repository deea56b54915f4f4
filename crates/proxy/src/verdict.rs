//! Whether a database server may serve, decided from what it says of itself.

/// What the server said. Names follow its variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// `wsrep_on`: it is part of a Galera cluster at all.
    pub is_galera: bool,
    /// `wsrep_local_state`: 1 joining, 2 donor or desynced, 3 joined, 4 synced.
    pub local_state: u32,
    /// `wsrep_local_state_comment`.
    pub local_state_comment: String,
    /// `wsrep_cluster_status`: `Primary` or not.
    pub cluster_status: String,
    /// `wsrep_ready`.
    pub is_ready: bool,
    /// `wsrep_reject_queries` other than `NONE`.
    pub rejects_queries: bool,
    /// `wsrep_desync`: an operator took it out of flow control.
    pub is_desynced: bool,
    /// `read_only`.
    pub is_read_only: bool,
    /// `wsrep_sst_method`: rsync blocks a donor, mariabackup does not.
    pub sst_method: String,
}

/// What the operator wants to count as available.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// A donor whose state transfer does not block it may serve.
    pub available_when_donor: bool,
    /// A read-only server may not serve.
    pub disable_when_read_only: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// It may serve.
    pub serves: bool,
    /// One sentence with the reason.
    pub reason: String,
}

impl Verdict {
    /// It may serve.
    #[must_use]
    pub fn up(reason: impl Into<String>) -> Self {
        Self {
            serves: true,
            reason: reason.into(),
        }
    }

    /// It may not.
    #[must_use]
    pub fn down(reason: impl Into<String>) -> Self {
        Self {
            serves: false,
            reason: reason.into(),
        }
    }
}

/// Decides. The first reason against wins, the most fundamental one first.
#[must_use]
pub fn judge(facts: &Facts, policy: Policy) -> Verdict {
    if !facts.is_galera {
        return Verdict::down("This server is not part of a Galera cluster (wsrep_on is OFF).");
    }
    if facts.cluster_status != "Primary" {
        return Verdict::down(format!(
            "The Galera component of this server is not primary (wsrep_cluster_status is '{}').",
            facts.cluster_status
        ));
    }
    if facts.rejects_queries {
        return Verdict::down("This server rejects queries (wsrep_reject_queries is set).");
    }
    let state = match facts.local_state {
        4 => Verdict::up("Galera node is synced."),
        2 => donor(facts, policy),
        state => Verdict::down(format!(
            "Galera node is not synced (wsrep_local_state is {state}, {}).",
            facts.local_state_comment
        )),
    };
    if !state.serves {
        return state;
    }
    if !facts.is_ready {
        return Verdict::down("Galera node is not ready for queries (wsrep_ready is OFF).");
    }
    if policy.disable_when_read_only && facts.is_read_only {
        return Verdict::down("Galera node is read-only.");
    }
    state
}

fn donor(facts: &Facts, policy: Policy) -> Verdict {
    if facts.is_desynced {
        return Verdict::down("Galera node was desynced by an operator (wsrep_desync is ON).");
    }
    if !policy.available_when_donor {
        return Verdict::down("Galera node is a donor or desynced; option -a would accept that.");
    }
    if facts.sst_method == "rsync" {
        return Verdict::down(
            "Galera node is a donor, and a state transfer by rsync blocks it; mariabackup would not.",
        );
    }
    Verdict::up("Galera node is a donor whose state transfer does not block it.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced() -> Facts {
        Facts {
            is_galera: true,
            local_state: 4,
            local_state_comment: "Synced".into(),
            cluster_status: "Primary".into(),
            is_ready: true,
            sst_method: "rsync".into(),
            ..Facts::default()
        }
    }

    fn verdict(change: impl FnOnce(&mut Facts), policy: Policy) -> bool {
        let mut facts = synced();
        change(&mut facts);
        judge(&facts, policy).serves
    }

    #[test]
    fn each_fact_decides() {
        let plain = Policy::default();
        let donors = Policy {
            available_when_donor: true,
            ..plain
        };
        let writers = Policy {
            disable_when_read_only: true,
            ..plain
        };
        assert!(verdict(|_| (), plain));
        assert!(!verdict(|f| f.is_galera = false, plain));
        assert!(!verdict(|f| f.cluster_status = "non-Primary".into(), plain));
        assert!(!verdict(|f| f.rejects_queries = true, plain));
        assert!(!verdict(|f| f.is_ready = false, plain));
        assert!(!verdict(|f| f.local_state = 1, plain));
        assert!(!verdict(|f| f.local_state = 3, plain));
        assert!(verdict(|f| f.is_read_only = true, plain));
        assert!(!verdict(|f| f.is_read_only = true, writers));
        assert!(!verdict(|f| f.local_state = 2, plain));
        assert!(!verdict(|f| f.local_state = 2, donors), "rsync blocks");
        let backup = |f: &mut Facts| {
            f.local_state = 2;
            f.sst_method = "mariabackup".into();
        };
        assert!(verdict(backup, donors));
        assert!(!verdict(
            |f| {
                backup(f);
                f.is_desynced = true;
            },
            donors
        ));
    }
}
