#![no_main]
//! What newcomers, rotating servers and clients say, and what a client gets to hear.

use libfuzzer_sys::fuzz_target;
use quorate_core::admin::{Request, Response};
use quorate_node::remote::role::{Operator, Role};

fuzz_target!(|bytes: &[u8]| {
    let _ = minicbor::decode::<quorate_node::join::JoinRequest>(bytes);
    let _ = minicbor::decode::<quorate_node::join::JoinReply>(bytes);
    let _ = minicbor::decode::<quorate_node::rotation::message::Round>(bytes);
    let _ = minicbor::decode::<quorate_node::rotation::message::Answer>(bytes);
    let reader = Operator { name: "r".to_owned(), role: Role::Read };
    if let Ok(request) = Request::decode(bytes) {
        let needed = Role::needed(&request);
        assert_eq!(reader.authorize(request).is_ok(), needed == Role::Read);
    }
    if let Ok(response) = Response::decode(bytes) {
        let _ = reader.seen(response);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = quorate_node::pki::token::Token::parse(text);
    }
});
