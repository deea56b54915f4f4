//! Chunks on the wire: length (4 bytes), lane and last-mark (1 byte), checksum (4 bytes), payload.

/// Longest payload of a chunk: what a probe may have to wait for.
pub const CHUNK_BYTES_MAX: usize = 16 << 10;
/// Longest whole message.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 9;

/// Two lanes: probes and other short things overtake the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Overtakes.
    Urgent,
    /// May be long.
    Bulk,
}

const LAST: u8 = 0x80;

/// What arrived is no frame of ours: the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too long a chunk.
    #[error("a chunk of {0} bytes was announced, {CHUNK_BYTES_MAX} are allowed")]
    ChunkTooLong(usize),
    /// Too long a message.
    #[error("a message grew beyond {MESSAGE_BYTES_MAX} bytes")]
    MessageTooLong,
    /// Damage.
    #[error("a checksum does not match")]
    Checksum,
    /// No such lane.
    #[error("an unknown mark 0x{0:02x} was sent")]
    Mark(u8),
}

/// A chunk's header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Payload bytes that follow.
    pub length: usize,
    lane: Lane,
    last: bool,
    mark: u8,
    crc: u32,
}

/// Writes a chunk behind what is in `out`.
pub fn put_chunk(out: &mut Vec<u8>, lane: Lane, payload: &[u8], is_last: bool) {
    debug_assert!(payload.len() <= CHUNK_BYTES_MAX);
    let mark = match lane {
        Lane::Urgent => 0,
        Lane::Bulk => 1,
    } | if is_last { LAST } else { 0 };
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.push(mark);
    out.extend_from_slice(&checksum(mark, payload).to_be_bytes());
    out.extend_from_slice(payload);
}

fn checksum(mark: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[mark]);
    hasher.update(payload);
    hasher.finalize()
}

impl Header {
    /// Reads and bounds it.
    pub fn parse(bytes: [u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let [l0, l1, l2, l3, mark, c0, c1, c2, c3] = bytes;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > CHUNK_BYTES_MAX {
            return Err(FrameError::ChunkTooLong(length));
        }
        let lane = match mark & !LAST {
            0 => Lane::Urgent,
            1 => Lane::Bulk,
            _ => return Err(FrameError::Mark(mark)),
        };
        let crc = u32::from_be_bytes([c0, c1, c2, c3]);
        Ok(Self {
            length,
            lane,
            last: mark & LAST != 0,
            mark,
            crc,
        })
    }
}

/// Puts chunks together again.
#[derive(Debug, Default)]
pub struct Assembler {
    urgent: Vec<u8>,
    bulk: Vec<u8>,
}

impl Assembler {
    /// Takes a chunk; gives the message that it completes.
    pub fn push(&mut self, header: Header, payload: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        if checksum(header.mark, payload) != header.crc {
            return Err(FrameError::Checksum);
        }
        let lane = match header.lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Bulk => &mut self.bulk,
        };
        if lane.len() + payload.len() > MESSAGE_BYTES_MAX {
            return Err(FrameError::MessageTooLong);
        }
        lane.extend_from_slice(payload);
        Ok(header.last.then(|| std::mem::take(lane)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut assembler = Assembler::default();
        let mut whole = Vec::new();
        while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
            let header = Header::parse(*header)?;
            if rest.len() < header.length {
                break;
            }
            whole.extend(assembler.push(header, &rest[..header.length])?);
            bytes = &rest[header.length..];
        }
        Ok(whole)
    }

    #[test]
    fn an_urgent_message_overtakes_a_long_one() {
        let mut wire = Vec::new();
        put_chunk(&mut wire, Lane::Bulk, b"long ", false);
        put_chunk(&mut wire, Lane::Urgent, b"probe", true);
        put_chunk(&mut wire, Lane::Bulk, b"story", true);
        assert_eq!(
            split(&wire).unwrap(),
            [b"probe".to_vec(), b"long story".to_vec()]
        );
    }

    #[test]
    fn what_never_ends_is_cut_off() {
        let mut wire = Vec::new();
        for _ in 0..=MESSAGE_BYTES_MAX / CHUNK_BYTES_MAX {
            put_chunk(&mut wire, Lane::Bulk, &[0; CHUNK_BYTES_MAX], false);
        }
        assert_eq!(split(&wire), Err(FrameError::MessageTooLong));
        assert_eq!(
            Header::parse([0xff; HEADER_BYTES]),
            Err(FrameError::ChunkTooLong(0xffff_ffff))
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes: Vec<u8>) {
            let _ = split(&bytes);
        }

        #[test]
        fn a_flipped_bit_is_noticed(payload in proptest::collection::vec(any::<u8>(), 1..200), at: usize) {
            let mut wire = Vec::new();
            put_chunk(&mut wire, Lane::Bulk, &payload, true);
            let bit = at % (wire.len() * 8);
            wire[bit / 8] ^= 1 << (bit % 8);
            let got = split(&wire);
            prop_assert!(got != Ok(vec![payload]));
        }
    }
}
