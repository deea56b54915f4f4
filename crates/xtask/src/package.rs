//! Debian packages: `quorate`, and `quorate-compat` with Pacemaker's names for those who want them in /usr/sbin.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const STAGE: &str = "target/package";
/// The program that is packaged unless another one is named.
const BUILT: &str = "target/release/quorate";

/// Builds both.
pub fn package(program: Option<PathBuf>, version: Option<String>) -> ExitCode {
    match build(program, version) {
        Ok(files) => {
            for file in files {
                println!("{}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn build(program: Option<PathBuf>, version: Option<String>) -> Result<Vec<PathBuf>, String> {
    let program = match program {
        Some(program) => program,
        None => {
            run(Command::new("cargo").args(["build", "--release", "--package", "quorate"]))?;
            BUILT.into()
        }
    };
    let _ = fs::remove_dir_all(STAGE);
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let version = version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let failed = |e: io::Error| format!("cannot lay out the package: {e}");
    main_package(&program, &version, &architecture).map_err(failed)?;
    let names = output(Command::new(&program).args(["tool", "--list"]))?;
    compat_package(&version, &names).map_err(failed)?;
    let mut files = Vec::new();
    for (name, architecture) in [
        ("quorate", architecture.as_str()),
        ("quorate-compat", "all"),
    ] {
        let file = Path::new("target").join(format!("{name}_{version}_{architecture}.deb"));
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(Path::new(STAGE).join(name))
            .arg(&file))?;
        files.push(file);
    }
    Ok(files)
}

fn main_package(program: &Path, version: &str, architecture: &str) -> io::Result<()> {
    let root = Path::new(STAGE).join("quorate");
    put(&root, "usr/sbin/quorate", &fs::read(program)?, 0o755)?;
    put(
        &root,
        "lib/systemd/system/quorate.service",
        &fs::read("packaging/systemd/quorate.service")?,
        0o644,
    )?;
    put(
        &root,
        "lib/systemd/system/session-.scope.d/quorate.conf",
        &fs::read("packaging/systemd/session-.scope.d/quorate.conf")?,
        0o644,
    )?;
    for file in [
        "README.md",
        "CHANGELOG.md",
        "docs/operations.md",
        "docs/galera.md",
        "docs/agent-tools.md",
        "docs/configuration.md",
        "docs/security.md",
        "docs/glossary.md",
        "docs/invariants.md",
    ] {
        let name = file.rsplit('/').next().unwrap_or(file);
        put(
            &root,
            &format!("usr/share/doc/quorate/{name}"),
            &fs::read(file)?,
            0o644,
        )?;
    }
    put(
        &root,
        "usr/share/doc/quorate/examples/wiki.crm",
        &fs::read("examples/wiki.crm")?,
        0o644,
    )?;
    for (file, to, mode) in [
        (
            "packaging/systemd/galera-python-clustercheck.service",
            "lib/systemd/system/galera-python-clustercheck.service",
            0o644,
        ),
        (
            "packaging/ocf/clustercheck",
            "usr/lib/ocf/resource.d/quorate/clustercheck",
            0o755,
        ),
    ] {
        put(&root, to, &fs::read(file)?, mode)?;
    }
    for entry in fs::read_dir("examples/galera")? {
        let entry = entry?;
        let to = Path::new("usr/share/doc/quorate/examples/galera").join(entry.file_name());
        let mode = if entry.file_name() == "bring-up" {
            0o755
        } else {
            0o644
        };
        put(&root, &to.to_string_lossy(), &fs::read(entry.path())?, mode)?;
    }
    let licences = [fs::read("LICENSE-MIT")?, fs::read("LICENSE-APACHE")?];
    put(
        &root,
        "usr/share/doc/quorate/copyright",
        &licences.join(&b"\n\n"[..]),
        0o644,
    )?;
    for script in ["postinst", "prerm", "postrm"] {
        put(
            &root,
            &format!("DEBIAN/{script}"),
            &fs::read(format!("packaging/deb/{script}"))?,
            0o755,
        )?;
    }
    let control = format!(
        "Package: quorate\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: The Quorate project\n\
         Section: admin\nPriority: optional\nDepends: libc6, passwd, kmod, iproute2\n\
         Recommends: resource-agents\nSuggests: fence-agents, cluster-glue, ipmitool\n\
         Description: keeps services running when the machine under them dies\n \
         One daemon for membership, fencing, resource management and the tools around them.\n \
         It runs OCF agents, systemd units and fence agents as they are.\n"
    );
    put(&root, "DEBIAN/control", control.as_bytes(), 0o644)
}

/// All of Pacemaker's names: agents that set PATH anew call them by it, too.
fn compat_package(version: &str, names: &str) -> io::Result<()> {
    let root = Path::new(STAGE).join("quorate-compat");
    fs::create_dir_all(root.join("usr/sbin"))?;
    for name in names.lines() {
        symlink("quorate", root.join("usr/sbin").join(name))?;
    }
    let control = format!(
        "Package: quorate-compat\nVersion: {version}\nArchitecture: all\nMaintainer: The Quorate project\n\
         Section: admin\nPriority: optional\nDepends: quorate (>= {version})\n\
         Conflicts: pacemaker, pacemaker-cli-utils, crmsh\n\
         Description: crm, crm_mon, crm_attribute and their like by Quorate\n \
         The names that operators of Pacemaker know, answered by Quorate; also for agents that\n \
         set PATH anew and would not find them in the daemon's own directory.\n"
    );
    put(&root, "DEBIAN/control", control.as_bytes(), 0o644)
}

fn put(root: &Path, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let path = root.join(path);
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(&path, content)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} failed: {status}")),
        Err(e) => Err(format!("{command:?} cannot be run: {e}")),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|e| format!("{command:?} cannot be run: {e}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
