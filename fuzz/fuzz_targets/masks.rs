#![no_main]
//! A masked text shows no secret and means the same otherwise.

use libfuzzer_sys::fuzz_target;
use quorate_model::crm;

fuzz_target!(|text: &str| {
    let masked = crm::mask(text);
    // Masking twice changes nothing more.
    assert_eq!(crm::mask(&masked), masked);
    assert_eq!(crm::mask_in_place(text, &[]).len(), text.len());
});
