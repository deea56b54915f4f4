//! The `[client]` group of a `my.cnf`: how to reach the database and as whom.
//!
//! Grammar: MariaDB's option files (groups in brackets, `name = value`, `#` and `;` comments, quoted values,
//! `-` and `_` alike in names). Includes are refused rather than ignored: a credential that silently comes
//! from elsewhere is a bad surprise.

use thiserror::Error;

/// Longest option file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// How to reach the database.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// User; the database's default is the operating system's user, ours is `root`.
    pub user: String,
    /// Password, if any.
    pub password: Option<String>,
    /// Host for TCP; used where no socket is given.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Unix socket.
    pub socket: Option<String>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            user: "root".to_owned(),
            password: None,
            host: "127.0.0.1".to_owned(),
            port: 3306,
            socket: None,
        }
    }
}

impl std::fmt::Debug for Client {
    // Passwords stay out of logs, also of those that print everything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("socket", &self.socket)
            .finish()
    }
}

/// What is wrong with an option file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MyCnfError {
    /// It is larger than an option file is.
    #[error("the option file has {0} bytes; at most {FILE_BYTES_MAX} are read")]
    TooLong(usize),
    /// An include directive.
    #[error("line {0}: includes are not followed; put the [client] group into this file")]
    Include(usize),
    /// A group header without its bracket.
    #[error("line {0}: a group begins with '[' and ends with ']'")]
    Group(usize),
    /// A port that is none.
    #[error("line {line}: '{value}' is not a port (1 to 65535)")]
    Port {
        /// Line number from 1.
        line: usize,
        /// What was written.
        value: String,
    },
    /// A quote that is not closed.
    #[error("line {0}: the quote is not closed")]
    Quote(usize),
}

/// Reads the `[client]` group (and the older `[mysql]`, which `[client]` overrides where both are given).
///
/// # Errors
/// Names the line and what is wrong with it.
pub fn parse(text: &str) -> Result<Client, MyCnfError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(MyCnfError::TooLong(text.len()));
    }
    let mut client = Client::default();
    for wanted in ["mysql", "client"] {
        read_group(text, wanted, &mut client)?;
    }
    Ok(client)
}

fn read_group(text: &str, wanted: &str, client: &mut Client) -> Result<(), MyCnfError> {
    let mut inside = false;
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let content = raw.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if content.starts_with('!') {
            return Err(MyCnfError::Include(line));
        }
        if let Some(rest) = content.strip_prefix('[') {
            let name = rest.split_once(']').ok_or(MyCnfError::Group(line))?.0;
            inside = name.trim() == wanted;
            continue;
        }
        if inside {
            let (name, value) = content.split_once('=').unwrap_or((content, ""));
            set(
                client,
                &name.trim().replace('_', "-"),
                &unquote(value.trim(), line)?,
                line,
            )?;
        }
    }
    Ok(())
}

fn set(client: &mut Client, name: &str, value: &str, line: usize) -> Result<(), MyCnfError> {
    match name {
        "user" => value.clone_into(&mut client.user),
        "password" => client.password = (!value.is_empty()).then(|| value.to_owned()),
        "host" => value.clone_into(&mut client.host),
        "socket" => client.socket = (!value.is_empty()).then(|| value.to_owned()),
        "port" => {
            client.port = value
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| MyCnfError::Port {
                    line,
                    value: value.to_owned(),
                })?;
        }
        // Other options of the group (character sets, prompts ...) do not concern a check.
        _ => {}
    }
    Ok(())
}

fn unquote(value: &str, line: usize) -> Result<String, MyCnfError> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return match rest.rfind(quote) {
                Some(end) => Ok(rest[..end].to_owned()),
                None => Err(MyCnfError::Quote(line)),
            };
        }
    }
    // An unquoted value ends at a comment that white space precedes.
    let end = value
        .char_indices()
        .zip(value.chars().skip(1))
        .find(|((_, c), next)| c.is_whitespace() && *next == '#')
        .map_or(value.len(), |((at, _), _)| at);
    Ok(value[..end].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_client_group_is_read_with_quotes_and_comments() {
        let text = "# check\n[mysqld]\nport=9\n[client]\nuser = monitoring\npassword = \"a # b\" # why\nport=3307\nsocket = /run/x.sock # s\n";
        let client = parse(text).expect("valid");
        assert_eq!(client.user, "monitoring");
        assert_eq!(client.password.as_deref(), Some("a # b"));
        assert_eq!(client.port, 3307);
        assert_eq!(client.socket.as_deref(), Some("/run/x.sock"));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(
            parse("[client]\nport = x"),
            Err(MyCnfError::Port {
                line: 2,
                value: "x".into()
            })
        );
        assert_eq!(parse("!includedir /etc"), Err(MyCnfError::Include(1)));
        assert_eq!(parse("[client"), Err(MyCnfError::Group(1)));
        assert_eq!(parse("[client]\npassword='x"), Err(MyCnfError::Quote(2)));
    }

    #[test]
    fn a_password_is_not_printed() {
        let client = parse("[client]\npassword=hunter2").expect("valid");
        assert!(!format!("{client:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }
    }
}
