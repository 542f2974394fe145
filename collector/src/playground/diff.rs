//! Lines that went, came and stayed.

use std::fmt::Write as _;

/// Lines that stayed are shown this far around those that did not.
const AROUND: usize = 3;
/// Texts that differ by more are not compared line by line.
const MOST_PAIRS: usize = 4_000_000;

/// Writes the lines of both texts, those that stay the same and are far from others left out.
pub(super) fn write(before: &str, after: &str, out: &mut String) {
    let lines = lines(&before.lines().collect::<Vec<_>>(), &after.lines().collect::<Vec<_>>());
    let is_near = |index: usize| {
        let near = index.saturating_sub(AROUND)..(index + AROUND + 1).min(lines.len());
        lines[near].iter().any(|(mark, _)| *mark != ' ')
    };
    let mut is_left_out = false;
    for (index, (mark, line)) in lines.iter().enumerate() {
        if is_near(index) {
            let _ = writeln!(out, "  {mark} {line}");
            is_left_out = false;
        } else if !is_left_out {
            out.push_str("    …\n");
            is_left_out = true;
        }
    }
}

/// Every line with a mark: `-` is only before, `+` only after, a space in both.
fn lines<'l>(before: &[&'l str], after: &[&'l str]) -> Vec<(char, &'l str)> {
    let start = before.iter().zip(after).take_while(|(left, right)| left == right).count();
    let (left, right) = (&before[start..], &after[start..]);
    let end = left.iter().rev().zip(right.iter().rev()).take_while(|(left, right)| left == right).count();
    let (left, right) = (&left[..left.len() - end], &right[..right.len() - end]);
    let mut lines: Vec<(char, &str)> = before[..start].iter().map(|line| (' ', *line)).collect();
    if left.len().saturating_mul(right.len()) > MOST_PAIRS {
        lines.extend(left.iter().map(|line| ('-', *line)));
        lines.extend(right.iter().map(|line| ('+', *line)));
        lines.extend(before[before.len() - end..].iter().map(|line| (' ', *line)));
        return lines;
    }
    // How many lines the longest common part of what is left from here on has.
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for (row, line) in left.iter().enumerate().rev() {
        for (column, other) in right.iter().enumerate().rev() {
            common[row][column] = if line == other {
                common[row + 1][column + 1] + 1
            } else {
                common[row + 1][column].max(common[row][column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < left.len() || column < right.len() {
        if row < left.len() && column < right.len() && left[row] == right[column] {
            lines.push((' ', left[row]));
            (row, column) = (row + 1, column + 1);
        } else if column == right.len()
            || (row < left.len() && common[row + 1][column] >= common[row][column + 1])
        {
            lines.push(('-', left[row]));
            row += 1;
        } else {
            lines.push(('+', right[column]));
            column += 1;
        }
    }
    lines.extend(before[before.len() - end..].iter().map(|line| (' ', *line)));
    lines
}
