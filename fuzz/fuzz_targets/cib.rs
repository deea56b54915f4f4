#![no_main]
//! CIB XML, and the decision on whatever it says.

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(cib) = quorate_model::xml::read::read(text) {
        let _ = quorate_policy::schedule(&cib, &quorate_policy::Options::default());
    }
});
