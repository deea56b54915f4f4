//! XML as a tree that can be cut: what a random case is made of.
#![allow(
    clippy::needless_pass_by_value,
    reason = "so that numbers and texts are written the same"
)]

/// An element.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
}

impl Element {
    pub fn new(name: &str) -> Self {
        Element {
            name: name.to_owned(),
            ..Element::default()
        }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.attributes.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn holding(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }

    pub fn set(&mut self, name: &str, value: impl ToString) {
        match self.attributes.iter_mut().find(|(n, _)| n == name) {
            Some(found) => found.1 = value.to_string(),
            None => self.attributes.push((name.to_owned(), value.to_string())),
        }
    }

    /// The child of that name, made where there is none.
    pub fn child(&mut self, name: &str) -> &mut Element {
        let at = self.children.iter().position(|c| c.name == name);
        let at = at.unwrap_or_else(|| {
            self.children.push(Element::new(name));
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(0, &mut out);
        out
    }

    fn write(&self, depth: usize, out: &mut String) {
        let indent = " ".repeat(depth);
        out.push_str(&format!("{indent}<{}", self.name));
        for (name, value) in &self.attributes {
            let value = value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('"', "&quot;");
            out.push_str(&format!(" {name}=\"{value}\""));
        }
        if self.children.is_empty() {
            out.push_str("/>\n");
            return;
        }
        out.push_str(">\n");
        self.children.iter().for_each(|c| c.write(depth + 1, out));
        out.push_str(&format!("{indent}</{}>\n", self.name));
    }

    /// Elements in document order, the element itself first.
    fn count(&self) -> usize {
        1 + self.children.iter().map(Element::count).sum::<usize>()
    }

    fn nth(&mut self, mut n: usize) -> Option<&mut Element> {
        if n == 0 {
            return Some(self);
        }
        n -= 1;
        for child in &mut self.children {
            let size = child.count();
            if n < size {
                return child.nth(n);
            }
            n -= size;
        }
        None
    }

    fn without(&self, mut n: usize) -> Option<Element> {
        let mut out = self.clone();
        if n == 0 {
            return None;
        }
        let mut at = &mut out;
        loop {
            n -= 1;
            let mut into = None;
            for (ix, child) in at.children.iter().enumerate() {
                let size = child.count();
                if n < size {
                    into = Some(ix);
                    break;
                }
                n -= size;
            }
            let ix = into?;
            if n == 0 {
                at.children.remove(ix);
                return Some(out);
            }
            at = &mut at.children[ix];
        }
    }

    /// Cuts away what can go while `still` holds: elements first, then attributes.
    pub fn shrunk(mut self, mut still: impl FnMut(&Element) -> bool, tries_max: usize) -> Element {
        let mut tries = 0;
        let mut progress = true;
        while progress && tries < tries_max {
            progress = false;
            let mut n = 1;
            while n < self.count() && tries < tries_max {
                tries += 1;
                match self.without(n) {
                    Some(less) if still(&less) => {
                        self = less;
                        progress = true;
                    }
                    _ => n += 1,
                }
            }
            for n in 0..self.count() {
                let mut at = 0;
                while tries < tries_max {
                    let mut less = self.clone();
                    let Some(element) = less.nth(n) else { break };
                    // Results have a score of attributes that hardly ever matter.
                    if element.name.starts_with("lrm") || element.name == "node_state" {
                        break;
                    }
                    if at >= element.attributes.len() {
                        break;
                    }
                    if matches!(element.attributes[at].0.as_str(), "id" | "uname" | "name") {
                        at += 1;
                        continue;
                    }
                    element.attributes.remove(at);
                    tries += 1;
                    if still(&less) {
                        self = less;
                        progress = true;
                    } else {
                        at += 1;
                    }
                }
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left() {
        let tree = Element::new("a").holding([
            Element::new("b").with("x", 1).with("y", 2),
            Element::new("c").holding([Element::new("d").with("z", 3), Element::new("e")]),
        ]);
        let left = tree.shrunk(|t| t.text().contains("z=") && t.text().contains("<b"), 1000);
        assert_eq!(
            left.text(),
            "<a>\n <b/>\n <c>\n  <d z=\"3\"/>\n </c>\n</a>\n"
        );
    }
}
