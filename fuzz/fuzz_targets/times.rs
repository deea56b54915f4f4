#![no_main]
//! Times and durations: no text panics, and what is printed reads the same.

use libfuzzer_sys::fuzz_target;
use quorate_policy::{score, time};

fuzz_target!(|text: &str| {
    if let Some(at) = time::parse(text) {
        let _ = time::civil(at);
        let _ = time::text(at);
        let _ = time::add_duration(at, &[("years".to_owned(), text.to_owned())]);
        let _ = time::fits(
            at,
            &[
                ("hours".to_owned(), text.to_owned()),
                ("weekdays".to_owned(), text.to_owned()),
            ],
        );
    }
    let _ = time::duration_seconds(text);
    let _ = score::parse_ms(text);
    let _ = quorate_model::times::milliseconds(text);
});
