#![no_main]
//! The files of services.

use libfuzzer_sys::fuzz_target;

use quorate_model::services::{File, Kind, Surroundings, check};

fuzz_target!(|text: &str| {
    for kind in [Kind::MyCnf, Kind::Haproxy, Kind::Rabbitmq] {
        let _ = check(
            File {
                name: "file",
                text,
                kind,
            },
            &Surroundings::default(),
        );
    }
    let _ = quorate_proxy::my_cnf::parse(text);
});
