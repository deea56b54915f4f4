//! Sorting by comparisons that need not be a total order.
//!
//! Instances and results are compared by rules of thumb that can contradict each other in a circle. The standard
//! library's sort may refuse such comparisons; and where they contradict, the way of sorting decides the order.

use std::cmp::Ordering;

/// Sorts by merging halves, the first the smaller one; equal elements keep their order.
pub(crate) fn by_halves<T: Copy>(
    list: &[T],
    compare: &mut impl FnMut(&T, &T) -> Ordering,
) -> Vec<T> {
    if list.len() < 2 {
        return list.to_vec();
    }
    let (first, second) = list.split_at(list.len() / 2);
    let (first, second) = (by_halves(first, compare), by_halves(second, compare));
    let mut out = Vec::with_capacity(list.len());
    let (mut a, mut b) = (first.iter().peekable(), second.iter().peekable());
    while let (Some(&x), Some(&y)) = (a.peek(), b.peek()) {
        if compare(x, y) == Ordering::Greater {
            out.push(*y);
            b.next();
        } else {
            out.push(*x);
            a.next();
        }
    }
    out.extend(a);
    out.extend(b);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_keep_their_order() {
        let list = [(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (0, 'e')];
        let sorted = by_halves(&list, &mut |x, y| x.0.cmp(&y.0));
        assert_eq!(sorted, [(0, 'e'), (1, 'b'), (1, 'd'), (2, 'a'), (2, 'c')]);
    }

    #[test]
    fn contradictions_do_not_matter() {
        // Rock, paper, scissors: each beats the next.
        let beats = |x: &u32, y: &u32| {
            if x == y {
                Ordering::Equal
            } else if (x + 1) % 3 == *y {
                Ordering::Less
            } else {
                Ordering::Greater
            }
        };
        let list: Vec<u32> = (0..100).map(|x| x % 3).collect();
        let mut sorted = by_halves(&list, &mut |x, y| beats(x, y));
        sorted.sort_unstable();
        assert_eq!(sorted.iter().filter(|x| **x == 0).count(), 34);
    }
}
