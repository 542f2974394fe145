//! Two texts, compared by lines.

/// Unchanged lines around a change.
const CONTEXT: usize = 2;
/// Texts of more lines are not compared line by line; the table below has this number squared of entries.
const MOST: usize = 4000;

/// The lines that were removed and added, with some around them; empty where the texts are the same.
///
/// The longest common subsequence, by dynamic programming over what lies between the common beginning and the common
/// end: O(n m) in time and space.
pub(crate) fn compare(old: &str, new: &str) -> String {
    if old == new {
        return String::new();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (from, to) = (&old[same..old.len() - same_end], &new[same..new.len() - same_end]);
    if from.len().max(to.len()) > MOST {
        return format!("@ {} lines are replaced by {}\n", from.len(), to.len());
    }
    let mut marked: Vec<(char, &str)> = old[..same].iter().map(|line| (' ', *line)).collect();
    marked.extend(steps(from, to));
    marked.extend(old[old.len() - same_end..].iter().map(|line| (' ', *line)));
    shown(&marked)
}

fn steps<'a>(from: &[&'a str], to: &[&'a str]) -> Vec<(char, &'a str)> {
    let width = to.len() + 1;
    let mut common = vec![0u16; (from.len() + 1) * width];
    for i in (0..from.len()).rev() {
        for j in (0..to.len()).rev() {
            common[i * width + j] = match from[i] == to[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < from.len() || j < to.len() {
        if i < from.len() && j < to.len() && from[i] == to[j] {
            steps.push((' ', from[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == to.len()
            || (i < from.len() && common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            steps.push(('-', from[i]));
            i += 1;
        } else {
            steps.push(('+', to[j]));
            j += 1;
        }
    }
    steps
}

/// The changes, with the number of the first line of each stretch.
fn shown(marked: &[(char, &str)]) -> String {
    let is_near = |at: usize| {
        let end = (at + CONTEXT + 1).min(marked.len());
        marked[at.saturating_sub(CONTEXT)..end].iter().any(|(mark, _)| *mark != ' ')
    };
    let (mut out, mut number, mut follows) = (String::new(), 1, false);
    for (at, (mark, line)) in marked.iter().enumerate() {
        if is_near(at) {
            if !follows {
                out += &format!("@ line {number}\n");
            }
            out += &format!("{mark} {line}\n");
        }
        follows = is_near(at);
        number += usize::from(*mark != '-');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown() {
        assert_eq!(compare("a\n", "a\n"), "");
        assert_eq!(compare("", "a\nb\n"), "@ line 1\n+ a\n+ b\n");
        assert_eq!(compare("a\nb\nc\n", "a\nx\nc\n"), "@ line 1\n  a\n- b\n+ x\n  c\n");
        let (old, new) = ("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\n5\n6\nseven\n8\nnine\n");
        assert_eq!(compare(old, new), "@ line 5\n  5\n  6\n- 7\n+ seven\n  8\n+ nine\n");
        let far = compare("a\n1\n2\n3\n4\n5\nb\n", "A\n1\n2\n3\n4\n5\nB\n");
        assert_eq!(far, "@ line 1\n- a\n+ A\n  1\n  2\n@ line 5\n  4\n  5\n- b\n+ B\n");
        assert_eq!(compare("a", "a\n"), "", "the end of the last line is layout");
    }

    #[test]
    fn long_texts_have_a_bound() {
        let text = |word: &str| (0..MOST + 1).map(|number| format!("{word}{number}\n")).collect::<String>();
        assert_eq!(compare(&text("a"), &text("b")), "@ 4001 lines are replaced by 4001\n");
    }
}
