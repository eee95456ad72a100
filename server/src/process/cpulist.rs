//! Lists of processors as `server-cpulist` and `bio-cpulist` write them, and which of them a thread gets.

use std::ops::RangeInclusive;

/// No processor has a higher number.
const PROCESSORS_MAX: usize = 1024;

/// Reads a list: `0-3,5,0-7:2` - numbers, ranges, and ranges with a step. None if it cannot be read.
pub fn parse(list: &str) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for part in list.split(',') {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) => (range, number(step).filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let range: RangeInclusive<usize> = match range.split_once('-') {
            Some((first, last)) => number(first)?..=number(last)?,
            None if part.contains(':') => return None,
            None => number(range)?..=number(range)?,
        };
        if range.is_empty() {
            return None;
        }
        found.extend(range.step_by(step));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn number(text: &str) -> Option<usize> {
    let text = text.trim();
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_decimal && *number < PROCESSORS_MAX)
}

/// The processors of `list` that are among those `allowed`; all allowed ones if the list is empty or of no use. The
/// second value is what to say about it.
pub fn choose(name: &str, list: &str, allowed: &[usize]) -> (Vec<usize>, Option<String>) {
    if list.is_empty() {
        return (allowed.to_vec(), None);
    }
    let Some(wanted) = parse(list) else {
        return (allowed.to_vec(), Some(format!("{name} '{list}' is no list of processors; it is ignored.")));
    };
    let (chosen, lacking): (Vec<usize>, Vec<usize>) = wanted.into_iter().partition(|cpu| allowed.contains(cpu));
    if chosen.is_empty() {
        let remark = format!("{name} '{list}' names no processor that this process may use; it is ignored.");
        return (allowed.to_vec(), Some(remark));
    }
    let remark = match lacking.is_empty() {
        true => None,
        false => Some(format!("{name} '{list}' names processors that this process may not use: {lacking:?}.")),
    };
    (chosen, remark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(parse("0"), Some(vec![0]));
        assert_eq!(parse("0-3,5,8-11:2"), Some(vec![0, 1, 2, 3, 5, 8, 10]));
        assert_eq!(parse("0-7:2,1"), Some(vec![0, 1, 2, 4, 6]));
        assert_eq!(parse("2, 0 - 1"), Some(vec![0, 1, 2]));
        for wrong in ["", "a", "1-", "-1", "3-1", "0-4:0", "1:2", "1,,2", "5000", "+1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_had_is_said() {
        assert_eq!(choose("n", "", &[1, 2]), (vec![1, 2], None));
        assert_eq!(choose("n", "1", &[1, 2]), (vec![1], None));
        let (chosen, remark) = choose("n", "1,7", &[1, 2]);
        assert!(chosen == [1] && remark.is_some_and(|text| text.contains("[7]")));
        assert!(matches!(choose("n", "7", &[1, 2]), (all, Some(_)) if all == [1, 2]));
        assert!(matches!(choose("n", "x", &[1, 2]), (all, Some(_)) if all == [1, 2]));
    }
}
