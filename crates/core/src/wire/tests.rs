use proptest::prelude::*;
use raft::eraftpb::{Message, MessageType};

use super::entry::{Certificate, Change, ChangeKind, Content, LogEntry, Origin, Record};
use super::raft_message::{Kind, RaftMessage};
use super::*;
use crate::ids::{Boot, Session};

fn frame(body: Body) -> Frame {
    Frame {
        lineage: Lineage(7),
        raft_id: 3,
        incarnation: Incarnation {
            boot: Boot(1),
            session: Session(2),
        },
        start: 9,
        body,
    }
}

fn change() -> Change {
    Change {
        kind: ChangeKind::Remove,
        raft_id: 2,
        name: "n2".into(),
        addresses: vec!["n2:1".into()],
        promote: false,
        certificate: Some(Certificate {
            boot: Some(Boot(5)),
            request: 1,
            episode: 1,
        }),
        origin: Origin::default(),
    }
}

fn append() -> RaftMessage {
    RaftMessage {
        kind: Kind::Append,
        to: 1,
        term: 4,
        log_term: 3,
        index: 10,
        entries: vec![
            LogEntry {
                index: 11,
                term: 4,
                content: Content::Plain(vec![1, 2, 3]),
            },
            LogEntry {
                index: 12,
                term: 4,
                content: Content::Change(change()),
            },
        ],
        commit: 10,
        commit_term: 3,
        reject: false,
        reject_hint: 0,
        transfer: false,
        quiet_ms: None,
    }
}

#[test]
fn frames_and_messages_come_back_the_same() {
    let bodies = [
        Body::Probe(Probe { nonce: 1 }),
        Body::Answer(Answer {
            nonce: 1,
            follows_term: 2,
            lease_ms: Some(3),
        }),
        Body::Raft(append()),
        Body::Manager(vec![1; 100]),
        Body::Refusal(Refusal::Stale),
        Body::RemovalAcknowledged,
    ];
    for body in bodies {
        let sent = frame(body);
        assert_eq!(Frame::decode(&sent.encode()).unwrap(), sent);
    }
    let library = append().to_library(7);
    assert_eq!(library.from, 7);
    assert_eq!(RaftMessage::from_library(&library).unwrap(), Some(append()));
}

#[test]
fn proposals_and_transfers_of_the_library_do_not_travel() {
    for kind in [
        MessageType::MsgPropose,
        MessageType::MsgTransferLeader,
        MessageType::MsgReadIndex,
        MessageType::MsgHup,
        MessageType::MsgSnapshot,
    ] {
        let mut message = Message::default();
        message.set_msg_type(kind);
        assert_eq!(RaftMessage::from_library(&message).unwrap(), None);
    }
}

#[test]
fn fields_of_a_newer_version_are_skipped() {
    // A probe with an unknown field 9, inside the map of the probe.
    let mut newer = minicbor::Encoder::new(Vec::new());
    newer
        .map(2)
        .unwrap()
        .u8(0)
        .unwrap()
        .u64(42)
        .unwrap()
        .u8(9)
        .unwrap()
        .str("new")
        .unwrap();
    let probe: Probe = minicbor::decode(newer.writer()).unwrap();
    assert_eq!(probe.nonce, 42);
}

#[test]
fn too_long_is_refused() {
    let long = frame(Body::Chunk(Chunk {
        transfer: 1,
        term: 1,
        index: 1,
        index_term: 1,
        voters: vec![1],
        learners: vec![],
        total: 1 << 30,
        offset: 0,
        bytes: vec![0; CHUNK_BYTES_MAX + 1],
    }));
    assert!(matches!(
        Frame::decode(&long.encode()),
        Err(WireError::OutOfBounds { .. })
    ));
    assert!(matches!(
        Frame::decode(&vec![0; FRAME_BYTES_MAX + 1]),
        Err(WireError::TooLong { .. })
    ));
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Frame::decode(&bytes);
        let _ = LogEntry::decode(&bytes);
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn damaged_frames_never_panic(at in 0_usize..200, value in any::<u8>(), cut in 0_usize..200) {
        let mut bytes = frame(Body::Raft(append())).encode();
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = Frame::decode(&bytes);
        bytes.truncate(cut);
        let _ = Frame::decode(&bytes);
    }
}
