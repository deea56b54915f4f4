#![no_main]
//! What a peer sends over a link before anything else looks at it: chunk after chunk into whole messages, and the
//! greeting. Frames of the local socket and of remote operators, too.

use libfuzzer_sys::fuzz_target;
use quorate_node::link::frame::{Assembler, HEADER_BYTES, Header, MESSAGE_BYTES_MAX};
use quorate_node::local::frame;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut assembler = Assembler::default();
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let Ok(header) = Header::parse(*header) else { break };
        let Some((payload, behind)) = behind.split_at_checked(header.length) else { break };
        match assembler.push(header, payload) {
            Ok(Some(message)) => assert!(message.len() <= MESSAGE_BYTES_MAX),
            Ok(None) => {}
            Err(_) => break,
        }
        rest = behind;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = bytes;
        while let Ok(Some(message)) = frame::read(&mut reader, 4096).await {
            assert!(message.len() <= 4096);
        }
        let _ = quorate_node::link::hello::receive(&mut &bytes[..]).await;
    });
});
