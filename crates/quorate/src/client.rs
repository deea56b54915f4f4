//! The local daemon's socket, from the client's side: blocking, one request, one or more responses.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use quorate_core::admin::{Request, Response};
use quorate_core::ids::NodeName;
use quorate_node::remote::client::RemoteStream;

use crate::context::Context;
use crate::error::{Error, Exit};

/// Longest response that a client accepts.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// An open connection to a daemon: the one of this host, or one over the network.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    Local(UnixStream),
    Remote(Box<RemoteStream>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Local(stream) => stream.read(buffer),
            Self::Remote(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Local(stream) => stream.write(bytes),
            Self::Remote(stream) => stream.write(bytes),
        }
    }
    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Local(stream) => stream.flush(),
            Self::Remote(stream) => stream.flush(),
        }
    }
}

#[allow(dead_code, reason = "verbs to come")]
impl Client {
    /// Connects to the daemon of this host, or to the node that was named.
    pub fn connect(context: &Context) -> Result<Self, Error> {
        if let Some((address, file)) = &context.remote {
            return Self::connect_remote(address, file);
        }
        let stream = UnixStream::connect(&context.socket).map_err(|e| {
            let socket = context.socket.display();
            let help = match e.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    "run it as root, or as a member of the group `quorate`".to_owned()
                }
                _ => "start it with `systemctl start quorate` (or `quorate run`); `journalctl -u quorate` says why \
                      it ended"
                    .to_owned(),
            };
            Error::new(format!("the daemon of this host does not answer at {socket}: {e}"), help)
                .exit(Exit::NoDaemon)
        })?;
        Ok(Self {
            stream: Stream::Local(stream),
        })
    }

    fn connect_remote(address: &str, file: &std::path::Path) -> Result<Self, Error> {
        let credentials = std::fs::read_to_string(file).map_err(|e| {
            Error::new(
                format!("{} cannot be read: {e}", file.display()),
                "name the file that `quorate client add` wrote",
            )
            .exit(Exit::Usage)
        })?;
        let address = quorate_node::config::complete_address(address)
            .map_err(|e| Error::new(e.to_string(), "").exit(Exit::Usage))?;
        let stream = RemoteStream::connect(&address, &credentials).map_err(|e| {
            Error::new(
                format!("the node at {address} does not answer: {e}"),
                "name another node of the cluster; new credentials come from `quorate client add` on a server",
            )
            .exit(Exit::NoDaemon)
        })?;
        Ok(Self {
            stream: Stream::Remote(Box::new(stream)),
        })
    }

    /// Limits how long a read may take; `None` waits for ever.
    pub fn timeout(&self, limit: Option<Duration>) {
        // Only a zero duration is refused.
        match &self.stream {
            Stream::Local(stream) => {
                let _ = stream.set_read_timeout(limit);
            }
            Stream::Remote(stream) => stream.timeout(limit),
        }
    }

    /// Asks, and gives the first response; a refusal becomes an error.
    pub fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        self.send(request)?;
        self.receive()
    }

    /// Sends a request.
    pub fn send(&mut self, request: &Request) -> Result<(), Error> {
        let bytes = minicbor::to_vec(request).expect("writing to memory cannot fail");
        let length = u32::try_from(bytes.len())
            .map_err(|_| Error::new("the request is longer than 4 GiB", ""))?;
        let mut frame = length.to_be_bytes().to_vec();
        frame.extend_from_slice(&bytes);
        self.stream.write_all(&frame).map_err(gone)?;
        self.stream.flush().map_err(gone)
    }

    /// Waits for the next response; a refusal becomes an error.
    pub fn receive(&mut self) -> Result<Response, Error> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(gone)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > RESPONSE_BYTES_MAX {
            return Err(Error::new(
                format!("the daemon announced a response of {length} bytes"),
                "",
            ));
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).map_err(gone)?;
        match minicbor::decode(&bytes) {
            Ok(Response::Refused { reason, help }) => Err(Error::new(reason, help)),
            Ok(response) => Ok(response),
            Err(e) => Err(Error::new(
                format!("the daemon's response cannot be understood: {e}"),
                "`quorate version` shows whether the daemon runs another version; restart it (nothing moves)",
            )),
        }
    }
}

/// Who asks, for the ledger: the user (also behind sudo) and the host.
pub fn who() -> String {
    let user = std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .unwrap_or_else(|_| "root".to_owned());
    format!("{user}@{}", crate::commands::directories::host_name())
}

/// The node that was named, or the one that the daemon of this host is.
pub fn node_or_own(context: &Context, named: Option<String>) -> Result<NodeName, Error> {
    if let Some(name) = named {
        return Ok(NodeName(name));
    }
    match Client::connect(context)?.ask(&Request::State)? {
        Response::State { local, .. } => Ok(NodeName(local.name)),
        other => Err(unexpected(&other)),
    }
}

/// A response that does not belong to the request.
pub fn unexpected(response: &Response) -> Error {
    let text: String = format!("{response:?}").chars().take(200).collect();
    Error::new(
        format!("the daemon gave an unexpected answer: {text}"),
        "`quorate version` shows whether the daemon runs another version; restart it with `systemctl reload quorate` \
         (nothing moves)",
    )
}

/// Asks for a change and tells what was done.
pub fn change(context: &Context, request: &Request) -> crate::error::Result {
    match Client::connect(context)?.ask(request)? {
        Response::Done { text, index } => {
            if context.json {
                println!("{}", serde_json::json!({"done": text, "index": index.0}));
            } else {
                println!("{text}");
            }
            Ok(Exit::Done)
        }
        other => Err(unexpected(&other)),
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn gone(e: std::io::Error) -> Error {
    Error::new(
        format!("the daemon of this host went away: {e}"),
        "`journalctl -u quorate` says why; it is started again by itself, ask again",
    )
    .exit(Exit::NoDaemon)
}
