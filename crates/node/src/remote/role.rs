//! What each request needs, at one place, and what a remote client is.

use quorate_core::admin::{Access, Request, Response};
use quorate_core::state::ClusterState;
use quorate_model::crm;

/// What a client may do. Each role includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See the state; secrets in the configuration are masked.
    Read,
    /// Move, stop, clean up, put in standby, fence; secrets are masked.
    Operate,
    /// Everything.
    Configure,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Configure => "configure",
        }
    }

    /// From the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Read, Self::Operate, Self::Configure]
            .into_iter()
            .find(|role| role.as_str() == word)
    }

    /// The least role that may ask this. A new kind of request does not compile until somebody has thought of it.
    #[must_use]
    pub fn needed(request: &Request) -> Self {
        match request {
            Request::State | Request::Watch => Self::Read,
            Request::Attribute {
                access: Access::Get,
                ..
            } => Self::Read,
            Request::Attribute { .. }
            | Request::Standby { .. }
            | Request::Maintenance { .. }
            | Request::Move { .. }
            | Request::Ban { .. }
            | Request::Clear { .. }
            | Request::Cleanup { .. }
            | Request::Reprobe { .. }
            | Request::Fence { .. }
            | Request::FenceCheck { .. }
            | Request::Transfer { .. }
            | Request::Ticket { .. } => Self::Operate,
            // To vouch that a machine is off is to risk the data; the rest decides who is in and what runs.
            Request::ConfirmFenced { .. }
            | Request::Apply { .. }
            | Request::Token { .. }
            | Request::Admit { .. }
            | Request::Remove { .. }
            | Request::Shutdown
            | Request::Recover { .. } => Self::Configure,
        }
    }
}

/// A remote operator as his certificate names him.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Name.
    pub name: String,
    /// What he may.
    pub role: Role,
}

impl Operator {
    /// The request under this operator's own name, or why not.
    ///
    /// # Errors
    /// The role does not reach: (reason, help).
    pub fn authorize(&self, request: Request) -> Result<Request, (String, String)> {
        let needed = Role::needed(&request);
        if self.role < needed {
            return Err((
                format!(
                    "`{}` has the role `{}`; this needs `{}`",
                    self.name,
                    self.role.as_str(),
                    needed.as_str()
                ),
                "ask somebody who may, or for a certificate with that role (`quorate client add` on a server)".to_owned(),
            ));
        }
        Ok(self.signed(request))
    }

    /// What a client says of itself counts nothing: the ledger has the certificate's name.
    fn signed(&self, mut request: Request) -> Request {
        let own = format!("{} (remote)", self.name);
        match &mut request {
            Request::Apply { who, .. }
            | Request::Attribute { who, .. }
            | Request::Standby { who, .. }
            | Request::Maintenance { who, .. }
            | Request::Move { who, .. }
            | Request::Ban { who, .. }
            | Request::Clear { who, .. }
            | Request::Cleanup { who, .. }
            | Request::Reprobe { who, .. }
            | Request::Fence { who, .. }
            | Request::ConfirmFenced { who, .. }
            | Request::Token { who, .. }
            | Request::Remove { who, .. }
            | Request::Ticket { who, .. }
            | Request::Recover { who, .. } => *who = own,
            Request::State
            | Request::Watch
            | Request::Admit { .. }
            | Request::Transfer { .. }
            | Request::Shutdown
            | Request::FenceCheck { .. } => {}
        }
        request
    }

    /// The response as this operator may see it.
    #[must_use]
    pub fn seen(&self, response: Response) -> Response {
        if self.role == Role::Configure {
            return response;
        }
        match response {
            Response::State { state, local } => match ClusterState::decode(&state) {
                Ok(mut decoded) => {
                    decoded.document.text = crm::mask(&decoded.document.text);
                    // Hashes of tokens open nothing, and are nobody's business.
                    decoded.tokens.clear();
                    Response::State {
                        state: decoded.encode(),
                        local,
                    }
                }
                Err(_) => Response::Refused {
                    reason: "the state cannot be shown without its secrets".to_owned(),
                    help: "look at it on a server".to_owned(),
                },
            },
            Response::Conflict {
                revision,
                text,
                who,
            } => Response::Conflict {
                revision,
                text: crm::mask(&text),
                who,
            },
            other => other,
        }
    }
}

/// Whether the configuration has taken a client's rights away: `property revoked-clients="NAME NAME"`.
#[must_use]
pub fn is_revoked(state: &ClusterState, name: &str) -> bool {
    let sets = state.configuration.options.iter();
    sets.flat_map(|set| &set.pairs)
        .filter(|pair| pair.name == "revoked-clients")
        .filter_map(|pair| pair.value.as_deref())
        .any(|list| {
            list.split(|c: char| c.is_whitespace() || c == ',')
                .any(|word| word == name)
        })
}

#[cfg(test)]
mod tests {
    use quorate_core::admin::{LocalView, OnErrors};

    use super::*;

    fn operator(role: Role) -> Operator {
        Operator {
            name: "ann".into(),
            role,
        }
    }

    fn apply() -> Request {
        Request::Apply {
            text: String::new(),
            based_on: None,
            errors: OnErrors::Refuse,
            who: "root@n1".into(),
        }
    }

    #[test]
    fn a_role_reaches_as_far_as_it_says_and_no_further() {
        let cleanup = || Request::Cleanup {
            resource: None,
            node: None,
            who: "root@n1".into(),
        };
        assert!(operator(Role::Read).authorize(Request::State).is_ok());
        assert!(operator(Role::Read).authorize(cleanup()).is_err());
        assert!(operator(Role::Operate).authorize(cleanup()).is_ok());
        let (reason, _) = operator(Role::Operate).authorize(apply()).unwrap_err();
        assert!(
            reason.contains("`operate`") && reason.contains("`configure`"),
            "{reason}"
        );
        match operator(Role::Configure).authorize(apply()).unwrap() {
            Request::Apply { who, .. } => assert_eq!(who, "ann (remote)"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_may_not_configure_sees_no_secret() {
        let mut state = ClusterState::default();
        state.document.text =
            "primitive f stonith:external/ipmi params hostname=n1 passwd=tiger\nproperty revoked-clients=\"bob ann\"\n"
                .into();
        state.tokens.insert("hash".into(), 1);
        let response = || Response::State {
            state: state.encode(),
            local: LocalView::default(),
        };
        let seen = |role| match operator(role).seen(response()) {
            Response::State { state, .. } => ClusterState::decode(&state).unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(!seen(Role::Operate).document.text.contains("tiger"));
        assert!(seen(Role::Operate).tokens.is_empty());
        assert!(seen(Role::Configure).document.text.contains("tiger"));
        let decoded = seen(Role::Configure);
        assert!(is_revoked(&decoded, "ann") && !is_revoked(&decoded, "an"));
    }
}
