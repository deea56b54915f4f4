//! One established connection: a reader and a writer until either ends.

use std::io;
use std::time::Duration;

use quorate_core::event::Link;
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frame::{Assembler, CHUNK_BYTES_MAX, HEADER_BYTES, Header};
use super::hub::{LinkEvents, PeerLink};

/// Bytes that the kernel may keep unsent: what an urgent chunk waits for at most.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Options of the socket: short and small things at once, a dead peer noticed soon.
pub(super) fn prepare(stream: &TcpStream, detection_ms: u64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let timeout = (detection_ms * 2).clamp(1000, 60_000) as u32;
    sockopt::set_tcp_user_timeout(stream, timeout)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(2))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(1))?;
    sockopt::set_socket_send_buffer_size(stream, SEND_BUFFER_BYTES)?;
    Ok(())
}

/// Carries messages until the connection ends; says why it ended.
pub(super) async fn run<S>(
    stream: S,
    peer: &PeerLink,
    link: Link,
    events: &dyn LinkEvents,
) -> io::Error
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let receive = async {
        let mut assembler = Assembler::default();
        let mut payload = vec![0; CHUNK_BYTES_MAX];
        loop {
            let mut header = [0; HEADER_BYTES];
            reader.read_exact(&mut header).await?;
            let header = Header::parse(header).map_err(invalid)?;
            let payload = &mut payload[..header.length];
            reader.read_exact(payload).await?;
            peer.heard();
            if let Some(message) = assembler.push(header, payload).map_err(invalid)? {
                events.frame(&peer.name, link, message);
            }
        }
    };
    let send = async {
        let mut out = Vec::with_capacity(2 * CHUNK_BYTES_MAX);
        loop {
            out.clear();
            peer.outbox.next(&mut out).await;
            writer.write_all(&out).await?;
            writer.flush().await?;
        }
    };
    let ended: io::Result<std::convert::Infallible> = tokio::select! {
        ended = receive => ended,
        ended = send => ended,
    };
    match ended {
        Ok(never) => match never {},
        Err(e) => e,
    }
}

fn invalid(error: super::frame::FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
