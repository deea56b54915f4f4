//! Runs the system's programs that build a lab.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::error::{IoContext, LabError};

/// Runs a command to its end and returns its standard output; anything but exit code 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<String, LabError> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(command, &output))
}

/// Runs a command to its end, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Result<Output, LabError> {
    command.stdin(Stdio::null());
    let program = command.get_program().to_owned();
    command.output().io("cannot run", program)
}

/// Runs a command with the given standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String, LabError> {
    let program = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .io("cannot run", &program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read all of it fails by its exit code.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().io("cannot wait for", &program)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(command, &output))
}

/// A command from its words.
pub(crate) fn command<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Command {
    let mut words = words.into_iter();
    let program = words.next().expect("a command has at least its program");
    let mut command = Command::new(program);
    command.args(words);
    command
}

fn failed(command: &Command, output: &Output) -> LabError {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|w| w.to_string_lossy().into_owned()));
    let mut text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.is_empty() {
        text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    }
    LabError::Command {
        command: words.join(" "),
        status: output.status.to_string(),
        output: text,
    }
}

/// The programs that a lab needs, each with the Debian package that brings it.
const PROGRAMS: [(&str, &str); 10] = [
    ("systemd-nspawn", "systemd-container"),
    ("ipmi_sim", "openipmi"),
    ("ipmitool", "ipmitool"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("losetup", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("perl", "perl-base"),
    ("dbus-daemon", "dbus"),
    ("modprobe", "kmod"),
];

/// Refuses to begin when a program is missing.
pub(crate) fn check_programs() -> Result<(), LabError> {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = format!("{path}:/usr/sbin:/usr/bin:/sbin:/bin");
    for (program, package) in PROGRAMS {
        if !places
            .split(':')
            .any(|place| std::path::Path::new(place).join(program).exists())
        {
            return Err(LabError::ProgramMissing { program, package });
        }
    }
    Ok(())
}
