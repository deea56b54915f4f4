//! Frames on the local socket: four bytes of length, then a request or a response in CBOR.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Longest request that the daemon reads.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Longest response that a client reads.
pub const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Reads one; `None` at the end of the stream between frames.
pub async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    bytes_max: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    let length = match reader.read_u32().await {
        Ok(length) => length as usize,
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    };
    if length > bytes_max {
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes was announced, {bytes_max} are allowed"),
        ));
    }
    let mut bytes = Vec::new();
    // Grows with what really arrives: an announced length alone costs nothing.
    reader.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(bytes))
}

/// Writes one.
pub async fn write<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    writer.write_all(&length.to_be_bytes()).await?;
    writer.write_all(bytes).await?;
    writer.flush().await
}
