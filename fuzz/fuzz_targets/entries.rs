#![no_main]
//! Log entries, messages between managers, snapshots.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = quorate_core::entry::Entry::decode(bytes);
    let _ = quorate_core::message::Message::decode(bytes);
    let _ = quorate_core::state::ClusterState::decode(bytes);
    let _ = minicbor::decode::<quorate_core::admin::Request>(bytes);
});
