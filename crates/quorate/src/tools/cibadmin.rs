//! `cibadmin -Q`: the information base as XML. It is only read here; changes go through the configuration.

use quorate_core::facts;

use super::cib_tree::{self, Element};
use super::cluster::{Cluster, FAILED, NO_SUCH, Said, usage};
use super::options::{self, Opt, flag, value};

pub(super) const OPTIONS: &[Opt] = &[
    flag('Q', &["query"]),
    flag('l', &["local"]),
    flag('s', &["sync-call"]),
    flag('n', &["no-children"]),
    flag('V', &["verbose"]),
    flag('f', &["force"]),
    value('o', &["scope"]),
    value('A', &["xpath"]),
    value('t', &["timeout"]),
    flag('e', &["node-path"]),
    flag('C', &["create"]),
    flag('M', &["modify"]),
    flag('R', &["replace"]),
    flag('D', &["delete"]),
    flag('P', &["patch"]),
    flag('E', &["erase"]),
    flag('u', &["upgrade"]),
    flag('d', &["delete-all"]),
    value('x', &["xml-file"]),
    value('X', &["xml-text"]),
    flag('p', &["xml-pipe"]),
];

/// The tool.
pub fn run(arguments: &[String], cluster: &mut dyn Cluster) -> Result<Said, Said> {
    let given = options::parse(arguments, OPTIONS).map_err(usage)?;
    let writes = [
        "create",
        "modify",
        "replace",
        "delete",
        "patch",
        "erase",
        "upgrade",
        "delete-all",
    ];
    if given.last_of(&writes).is_some() {
        return Err(Said::failed(
            FAILED,
            "the information base is derived here, it is not written\nuse `quorate apply FILE` or `quorate edit`",
        ));
    }
    if !given.has("query") {
        return Err(usage("-Q is missing"));
    }
    let (state, local) = cluster.state()?;
    let quorum = if local.has_quorum {
        facts::Quorum::Has
    } else {
        facts::Quorum::Lost
    };
    let whole = cib_tree::of(&facts::cib(&state, quorum, local.wall_ms));
    let path = match (given.get("xpath"), given.get("scope")) {
        (Some(path), _) => path.to_owned(),
        (None, Some("all") | None) => "/cib".to_owned(),
        (None, Some(scope)) => format!("//{scope}"),
    };
    let Some(found) = cib_tree::find(&whole, &path) else {
        return Err(usage(format!(
            "the path `{path}` says more than is understood here"
        )));
    };
    let plain = |element: &Element| Element {
        children: Vec::new(),
        ..element.clone()
    };
    let text = |element: &&Element| match given.has("no-children") {
        true => plain(element).text(),
        false => element.text(),
    };
    match found.as_slice() {
        [] => Err(Said::failed(NO_SUCH, "nothing there is of this kind")),
        [one] => Ok(Said::out(text(one))),
        many => {
            let inner: String = many.iter().map(text).collect();
            Ok(Said::out(format!("<xpath-query>\n{inner}</xpath-query>\n")))
        }
    }
}
