//! A small tree of elements, for the parts of an information base that are read in more than one pass.

use super::pull::{Attribute, Pull, Step};
use super::read::ReadResult;

/// An element and where its attributes and relatives are.
#[derive(Debug)]
struct Element<'a> {
    name: &'a str,
    start: usize,
    attributes: (usize, usize),
    first_child: Option<usize>,
    next: Option<usize>,
}

/// An element with all that it contains.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    text: &'a str,
    elements: Vec<Element<'a>>,
    attributes: Vec<Attribute<'a>>,
}

impl<'a> Tree<'a> {
    /// Reads the element that began last, up to its end.
    pub(crate) fn read(name: &'a str, pull: &mut Pull<'a>, text: &'a str) -> ReadResult<Self> {
        let mut tree = Tree {
            text,
            elements: Vec::new(),
            attributes: Vec::new(),
        };
        tree.push(name, pull);
        // Open elements, each with its last child so far.
        let mut open: Vec<(usize, Option<usize>)> = vec![(0, None)];
        while let Some((parent, last)) = open.last_mut() {
            match pull.step()? {
                Step::Start(name) => {
                    let new = tree.elements.len();
                    match *last {
                        Some(before) => tree.elements[before].next = Some(new),
                        None => tree.elements[*parent].first_child = Some(new),
                    }
                    *last = Some(new);
                    tree.push(name, pull);
                    open.push((new, None));
                }
                Step::End | Step::Over => {
                    open.pop();
                }
            }
        }
        Ok(tree)
    }

    fn push(&mut self, name: &'a str, pull: &mut Pull<'a>) {
        let from = self.attributes.len();
        let start = pull.start;
        self.attributes.extend(pull.take_attributes());
        self.elements.push(Element {
            name,
            start,
            attributes: (from, self.attributes.len()),
            first_child: None,
            next: None,
        });
    }

    /// The outermost element.
    pub(crate) fn root(&self) -> El<'_> {
        El { tree: self, at: 0 }
    }
}

/// An element of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct El<'t> {
    tree: &'t Tree<'t>,
    at: usize,
}

impl<'t> El<'t> {
    fn element(self) -> &'t Element<'t> {
        &self.tree.elements[self.at]
    }

    pub(crate) fn name(self) -> &'t str {
        self.element().name
    }

    pub(crate) fn is(self, name: &str) -> bool {
        self.element().name == name
    }

    /// Attributes in document order.
    pub(crate) fn attributes(self) -> impl Iterator<Item = (&'t str, &'t str)> {
        let (from, to) = self.element().attributes;
        let list = &self.tree.attributes[from..to];
        list.iter().map(|a| (a.name, &*a.value))
    }

    pub(crate) fn attribute(self, name: &str) -> Option<&'t str> {
        self.attributes().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Children in document order.
    pub(crate) fn children(self) -> impl Iterator<Item = El<'t>> {
        let tree = self.tree;
        let first = self.element().first_child;
        std::iter::successors(first, move |at| tree.elements[*at].next)
            .map(move |at| El { tree, at })
    }

    /// Line at which it begins.
    pub(crate) fn line(self) -> u32 {
        Pull::new(self.tree.text).line_of(self.element().start)
    }
}
