//! Makes a lab that stays: `cargo run -p quorate-lab --example up NAME HOST...`; without hosts takes it down.
use quorate_lab::{Lab, LabError, LabOptions, state_dir};

fn main() -> Result<(), LabError> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let hosts: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    if hosts.is_empty() {
        return Lab::down(&state_dir(), &words[0]);
    }
    let mut options = LabOptions::new(&words[0], &hosts);
    options.ephemeral = false;
    Lab::up(&options).map(drop)
}
