//! The HTTP side: any request gets 200 or 503, with the reason as its body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::check::Check;
use crate::verdict::Verdict;

/// Connections served at once; more wait in the listener's backlog.
pub const CONNECTIONS_MAX: usize = 64;
/// Longest request head.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// A client that takes longer to send its request is dropped.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Listens. Fails at once where the address is taken, so that a unit's start fails too.
///
/// # Errors
/// What the operating system says of the address.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, check: Arc<Check>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        // A failed accept (no file descriptors, a client that is gone) concerns that client alone; giving
        // others a turn keeps a persistent failure from spinning.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let check = check.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(REQUEST_TIMEOUT, answer(stream, &check)).await;
            drop(slot);
        });
    }
}

async fn answer(mut stream: TcpStream, check: &Check) -> std::io::Result<()> {
    let Some(is_head) = read_request(&mut stream).await? else {
        let bad = response(
            "400 Bad Request",
            "This is not an HTTP request.",
            Body::Included,
        );
        return stream.write_all(&bad).await;
    };
    let verdict = check.verdict().await;
    let body = if is_head {
        Body::Omitted
    } else {
        Body::Included
    };
    stream.write_all(&render(&verdict, body)).await?;
    stream.shutdown().await
}

/// Reads a request's head; `Some(true)` for HEAD, `None` for what is no HTTP or is too long.
async fn read_request(stream: &mut TcpStream) -> std::io::Result<Option<bool>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).await?;
        head.extend_from_slice(&chunk[..read]);
        let complete =
            head.windows(4).any(|w| w == b"\r\n\r\n") || head.windows(2).any(|w| w == b"\n\n");
        if complete {
            return Ok(method(&head).map(|method| method == "HEAD"));
        }
        if read == 0 || head.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
    }
}

fn method(head: &[u8]) -> Option<&str> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let mut words = line.split(' ');
    let (method, _path, version) = (words.next()?, words.next()?, words.next()?);
    (version.starts_with("HTTP/") && words.next().is_none()).then_some(method)
}

#[derive(Clone, Copy)]
enum Body {
    Included,
    Omitted,
}

fn render(verdict: &Verdict, body: Body) -> Vec<u8> {
    let status = if verdict.serves {
        "200 OK"
    } else {
        "503 Service Unavailable"
    };
    response(status, &verdict.reason, body)
}

fn response(status: &str, text: &str, body: Body) -> Vec<u8> {
    let length = text.len() + 2;
    let mut out = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    if matches!(body, Body::Included) {
        out.push_str(text);
        out.push_str("\r\n");
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Settings;
    use crate::my_cnf::Client;
    use crate::verdict::Policy;

    async fn ask(request: &[u8], client: Client) -> String {
        let listener = bind("127.0.0.1:0".parse().expect("address"))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound");
        let check = Arc::new(Check::new(Settings {
            client,
            policy: Policy::default(),
            cache: Duration::ZERO,
            timeout: Duration::from_secs(2),
            maintenance_file: None,
        }));
        let serving = tokio::spawn(serve(listener, check));
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answered");
        serving.abort();
        answer
    }

    fn nowhere() -> Client {
        Client {
            socket: Some("/nonexistent/socket".into()),
            ..Client::default()
        }
    }

    #[tokio::test]
    async fn a_dead_database_is_503_with_the_reason() {
        let answer = ask(b"OPTIONS / HTTP/1.0\r\n\r\n", nowhere()).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("cannot be asked"), "{answer}");
    }

    #[tokio::test]
    async fn head_has_no_body() {
        let answer = ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", nowhere()).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn garbage_is_400() {
        let answer = ask(b"\x16\x03\x01 garbage\n\n", nowhere()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }

    #[tokio::test]
    async fn an_endless_head_is_cut_off() {
        let answer = ask(&vec![b'a'; REQUEST_BYTES_MAX + 1], nowhere()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}
