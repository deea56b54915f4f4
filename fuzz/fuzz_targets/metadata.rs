#![no_main]
//! What an agent says of itself.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = quorate_model::metadata::parse(text);
});
