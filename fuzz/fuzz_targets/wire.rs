#![no_main]
//! Frames of the engine between nodes, and log entries as they stand on the disk: what is read is written the same.

use libfuzzer_sys::fuzz_target;
use quorate_core::wire::Frame;
use quorate_core::wire::entry::LogEntry;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = Frame::decode(bytes) {
        assert_eq!(Frame::decode(&frame.encode()).expect("our own encoding is read"), frame);
    }
    if let Ok(entry) = LogEntry::decode(bytes) {
        assert_eq!(LogEntry::decode(&entry.encode()).expect("our own encoding is read"), entry);
    }
});
