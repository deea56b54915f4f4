//! Arguments of the compatibility tools: short options in clusters, long ones with `=`, values that may be left
//! out. Unknown options are an error: an agent that uses one must not get a wrong answer.

/// Whether an option has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// Always one.
    Value,
    /// One, unless another option follows.
    Maybe,
}

/// An option: its short letter (blank for none), its long names, the first of which names it in the result.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    /// `n`.
    pub short: char,
    /// `["name", "attr-name"]`.
    pub long: &'static [&'static str],
    /// Its value.
    pub takes: Takes,
}

/// An option without a value.
pub const fn flag(short: char, long: &'static [&'static str]) -> Opt {
    Opt {
        short,
        long,
        takes: Takes::Nothing,
    }
}

/// An option with a value.
pub const fn value(short: char, long: &'static [&'static str]) -> Opt {
    Opt {
        short,
        long,
        takes: Takes::Value,
    }
}

/// What was given: options by their first long name, and the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// In their order.
    pub options: Vec<(&'static str, String)>,
    /// Arguments that are no options.
    pub rest: Vec<String>,
}

impl Given {
    /// The last value of an option.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rfind(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The option was given.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The last of these options, which exclude each other.
    pub fn last_of(&self, names: &[&str]) -> Option<&'static str> {
        let found = self
            .options
            .iter()
            .rfind(|(known, _)| names.contains(known));
        found.map(|(known, _)| *known)
    }
}

/// Reads arguments. `Err` is the sentence for the user.
pub fn parse(arguments: &[String], known: &'static [Opt]) -> Result<Given, String> {
    let mut given = Given::default();
    let mut left = arguments.iter().peekable();
    while let Some(argument) = left.next() {
        if argument == "--" {
            given.rest.extend(left.cloned());
            break;
        }
        if let Some(long) = argument.strip_prefix("--") {
            let (name, attached) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let option = known
                .iter()
                .find(|option| option.long.contains(&name))
                .ok_or_else(|| format!("unknown option --{name}"))?;
            let value = match (option.takes, attached) {
                (Takes::Nothing, Some(_)) => return Err(format!("--{name} takes no value")),
                (Takes::Nothing, None) => String::new(),
                (_, Some(value)) => value,
                (takes, None) => {
                    follow(takes, &mut left).ok_or_else(|| format!("--{name} needs a value"))?
                }
            };
            given.options.push((option.long[0], value));
            continue;
        }
        let Some(cluster) = argument
            .strip_prefix('-')
            .filter(|cluster| !cluster.is_empty())
        else {
            given.rest.push(argument.clone());
            continue;
        };
        for (at, letter) in cluster.char_indices() {
            let option = known
                .iter()
                .find(|option| option.short == letter && letter != ' ')
                .ok_or_else(|| format!("unknown option -{letter}"))?;
            if option.takes == Takes::Nothing {
                given.options.push((option.long[0], String::new()));
                continue;
            }
            let attached = &cluster[at + letter.len_utf8()..];
            let value = if attached.is_empty() {
                follow(option.takes, &mut left).ok_or_else(|| format!("-{letter} needs a value"))?
            } else {
                attached.to_owned()
            };
            given.options.push((option.long[0], value));
            break;
        }
    }
    Ok(given)
}

fn follow<'a>(
    takes: Takes,
    left: &mut std::iter::Peekable<impl Iterator<Item = &'a String>>,
) -> Option<String> {
    match takes {
        Takes::Maybe => Some(
            left.next_if(|next| !next.starts_with('-'))
                .cloned()
                .unwrap_or_default(),
        ),
        // A negative number is a value, too.
        _ => left.next().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: &[Opt] = &[
        value('n', &["name", "attr-name"]),
        flag('q', &["quiet"]),
        flag('l', &["list"]),
        Opt {
            short: 'p',
            long: &["promotion"],
            takes: Takes::Maybe,
        },
        value('v', &["update"]),
    ];

    fn read(line: &str) -> Result<Given, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments, KNOWN)
    }

    #[test]
    fn the_ways_to_write_an_option() {
        for line in [
            "-n x -q",
            "-qn x",
            "-nx -q",
            "--name x --quiet",
            "--attr-name=x -q",
        ] {
            let given = read(line).unwrap();
            assert_eq!(
                (given.get("name"), given.has("quiet")),
                (Some("x"), true),
                "{line}"
            );
        }
        assert_eq!(read("-v -5").unwrap().get("update"), Some("-5"));
        assert_eq!(read("-p -q").unwrap().get("promotion"), Some(""));
        assert_eq!(read("-p db -q").unwrap().get("promotion"), Some("db"));
        assert_eq!(read("-l a b").unwrap().rest, ["a", "b"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(read("-x").unwrap_err(), "unknown option -x");
        assert_eq!(read("--bogus=1").unwrap_err(), "unknown option --bogus");
        assert_eq!(read("-n").unwrap_err(), "-n needs a value");
        assert_eq!(read("--quiet=1").unwrap_err(), "--quiet takes no value");
    }

    proptest! {
        #[test]
        fn any_arguments_are_survived(arguments in proptest::collection::vec(".{0,12}", 0..8)) {
            let _ = parse(&arguments, KNOWN);
        }
    }
}
