#![no_main]
//! The crm grammar: no text panics, and what is read is kept.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (document, _) = quorate_model::crm::parse(text);
    assert_eq!(document.print(), text);
});
