//! The first message on a link: who speaks, over which link, in which version; or why not.

use minicbor::{Decode, Encode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Version of the link's own framing. Messages inside have versions of their own.
pub const VERSION: u32 = 1;
const BYTES_MAX: usize = 2048;

/// The first message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Hello {
    /// Here I am.
    #[n(0)]
    Welcome {
        /// Of the framing.
        #[n(0)]
        version: u32,
        /// Which link it is, as the dialer counts.
        #[n(1)]
        link: u8,
        /// The cluster's name, for a clear message only.
        #[n(2)]
        cluster: String,
    },
    /// Not with you.
    #[n(1)]
    Refused {
        /// Why, for the other's log.
        #[n(0)]
        reason: String,
    },
}

/// Sends it.
pub async fn send<S: AsyncWrite + Unpin>(stream: &mut S, hello: &Hello) -> std::io::Result<()> {
    let bytes = minicbor::to_vec(hello).expect("writing to memory cannot fail");
    let mut frame = (bytes.len() as u16).to_be_bytes().to_vec();
    frame.extend_from_slice(&bytes);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Receives it.
pub async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Hello> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > BYTES_MAX {
        return Err(invalid("its greeting is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    minicbor::decode(&bytes).map_err(|_| invalid("its greeting is not understood"))
}

fn invalid(text: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, text)
}
