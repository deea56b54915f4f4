#![no_main]
//! Rules: whatever follows `rule` is read and judged without a panic, and the plan has an end.

use libfuzzer_sys::fuzz_target;
use quorate_model::cib::Cib;
use quorate_policy::Options;
use quorate_policy::converge::{advance, all_up};

/// Longer texts find nothing new and take longer.
const TEXT_MAX: usize = 2_000;

fuzz_target!(|text: &str| {
    if text.len() > TEXT_MAX || text.contains("clone-") || text.contains("clone") {
        return;
    }
    let whole = format!(
        "node a attributes x=1 y=two\nnode b\nproperty stonith-enabled=false\n\
         primitive p ocf:heartbeat:Dummy params rule {text}\n\
         location l p rule {text}\n"
    );
    let configuration = quorate_model::crm::parse(&whole).0.into_configuration();
    let cib = all_up(Cib {
        configuration,
        ..Cib::default()
    });
    #[allow(clippy::needless_update)]
    let options = Options {
        now: 1_700_000_000,
        ..Options::default()
    };
    let (_, after) = advance(&cib, &options);
    let _ = advance(&after, &options);
});
