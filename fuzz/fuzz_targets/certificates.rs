#![no_main]
//! Certificates that a stranger shows: whose they are, and that nobody is a node and an operator at once.

use libfuzzer_sys::fuzz_target;
use quorate_node::pki::certificate::{Facts, operator_of};

fuzz_target!(|bytes: &[u8]| {
    let node = Facts::of_der(bytes).is_ok();
    let operator = matches!(operator_of(bytes), Ok(Some(_)));
    assert!(!(node && operator));
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Facts::of_pem(text);
        for part in quorate_node::pki::authority::split(text) {
            let _ = quorate_node::pki::authority::fingerprint(&part);
        }
    }
});
