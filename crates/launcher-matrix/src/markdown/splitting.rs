//! Cuts a text in Markdown into parts, each of which can be read by itself.

/// The most bytes of what opens a block of code that are repeated in each part.
const LONGEST_FENCE: usize = 200;

/// Cuts `text` into parts that `fits` takes, in order: at blank lines outside of
/// code, or else at the ends of lines, or else between two characters.
///
/// A block of code that is cut is closed at the end of a part and opened again
/// in the next one. `limit` is the length in bytes that surely does not fit; a
/// part always has at least one character, whatever `fits` says. A text that fits
/// stays as it is; one of nothing but white space has no parts.
pub(crate) fn split(text: &str, limit: usize, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut parts = Vec::new();
    if text.len() < limit && !text.trim().is_empty() && fits(text) {
        parts.push(text.to_owned());
        return parts;
    }
    let mut rest = text.trim_end().trim_start_matches(['\n', '\r']);
    let mut fence = None;
    while !rest.trim().is_empty() {
        let opened = Opened { fence, rest };
        let end = match rest.len() < limit && fits(&opened.part(rest.len())) {
            true => rest.len(),
            false => opened.cut(limit, &fits),
        };
        parts.push(opened.part(end));
        fence = opened.fence_at(end);
        let after = &rest[end..];
        rest = match fence {
            // Blank lines of code are code.
            Some(_) => after.strip_prefix('\n').unwrap_or(after),
            None => after.trim_start_matches(['\n', '\r']),
        };
        if fence.is_some_and(|fence| is_closed_by(fence, first_line(rest))) {
            // Nothing of the code is left but its end.
            fence = None;
            rest = rest[first_line(rest).len()..].trim_start_matches(['\n', '\r']);
        }
    }
    parts
}

/// What is not cut yet, and the fence that it begins within.
#[derive(Clone, Copy)]
struct Opened<'a> {
    fence: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Opened<'a> {
    /// The beginning of the rest as a part.
    fn part(self, end: usize) -> String {
        let mut part = String::with_capacity(end + 16);
        if let Some(fence) = self.fence {
            let line = fence.trim();
            let line = if line.len() <= LONGEST_FENCE { line } else { marker(fence) };
            part.push_str(line);
            part.push('\n');
        }
        let fence = self.fence_at(end).filter(|_| end < self.rest.len());
        let text = &self.rest[..end];
        part.push_str(if fence.is_some() { text } else { text.trim_end() });
        if let Some(fence) = fence {
            if !part.ends_with('\n') {
                part.push('\n');
            }
            // Where it was opened: in a list, say. What was opened again is at the edge.
            let is_new = self.fence_at(0) != Some(fence);
            let edge = fence.len() - fence.trim_start().len();
            part.push_str(&fence[..if is_new { edge } else { 0 }]);
            part.push_str(marker(fence));
        }
        part
    }

    /// The line that opened the fence that is open there, if one is. A line that
    /// is cut opens and closes nothing.
    fn fence_at(self, end: usize) -> Option<&'a str> {
        let whole = self.lines().take_while(|(line_end, _)| *line_end <= end);
        whole.last().map_or(self.fence, |(_, fence)| fence)
    }

    /// Where each line ends, and the fence that is open after it.
    fn lines(self) -> impl Iterator<Item = (usize, Option<&'a str>)> {
        let mut at = 0;
        let mut fence = self.fence;
        self.rest.split('\n').map(move |line| {
            let end = at + line.len();
            at = end + 1;
            fence = match fence {
                Some(open) if is_closed_by(open, line) => None,
                Some(open) => Some(open),
                None => Some(line.trim_end()).filter(|line| is_fence(line)),
            };
            (end, fence)
        })
    }

    /// The best place for a cut.
    fn cut(self, limit: usize, fits: impl Fn(&str) -> bool) -> usize {
        let window = floor(self.rest, limit.max(1));
        let (mut lines, mut paragraphs) = (Vec::new(), Vec::new());
        for (end, fence) in self.lines().take_while(|(end, _)| *end <= window) {
            let is_cut = end > 0 && end < self.rest.len();
            let next = self.rest[end..].strip_prefix('\n').unwrap_or_default();
            if is_cut && fence.is_none() && first_line(next).trim().is_empty() {
                paragraphs.push(end);
            }
            if is_cut {
                lines.push(end);
            }
        }
        let characters = || self.rest[..window].char_indices().map(|(at, c)| at + c.len_utf8());
        let is_good = |end: usize| fits(&self.part(end));
        last_good(&paragraphs, is_good)
            .or_else(|| last_good(&lines, is_good))
            .or_else(|| last_good(&characters().collect::<Vec<_>>(), is_good))
            .or_else(|| characters().next())
            .unwrap_or(self.rest.len())
    }
}

/// The largest that is good, if they are good up to a point.
fn last_good(ends: &[usize], is_good: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut low, mut high) = (0, ends.len());
    while low < high {
        let middle = (low + high) / 2;
        match is_good(ends[middle]) {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low.checked_sub(1).map(|last| ends[last])
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

/// The last boundary of a character up to there.
fn floor(text: &str, mut end: usize) -> usize {
    end = end.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match end {
        0 => text.chars().next().map_or(0, char::len_utf8),
        end => end,
    }
}

/// The backticks or tildes of a line that opens a block of code. How far the
/// line is indented does not matter: that depends on the list it is in.
fn marker(line: &str) -> &str {
    let line = line.trim_start();
    let sign = line.chars().next().filter(|sign| ['`', '~'].contains(sign));
    let end = line.find(|letter| Some(letter) != sign).unwrap_or(line.len());
    &line[..end]
}

fn is_fence(line: &str) -> bool {
    let marker = marker(line);
    let edge = line.len() - line.trim_start().len();
    let info = &line[edge + marker.len()..];
    let is_marked = marker.len() >= 3 && edge + marker.len() <= LONGEST_FENCE;
    is_marked && !(marker.starts_with('`') && info.contains('`'))
}

fn is_closed_by(fence: &str, line: &str) -> bool {
    let end = line.trim();
    let open = marker(fence);
    end.len() >= open.len() && end.starts_with(open) && marker(end).len() == end.len()
}

#[cfg(test)]
mod tests {
    use super::split;

    fn cut(text: &str, limit: usize) -> Vec<String> {
        split(text, limit + 1, |part| part.len() <= limit)
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        for text in ["a", "  a\n\nb ", "```\nnot closed", "ä"] {
            assert_eq!(cut(text, 100), [text]);
        }
        assert!(cut(" \n\n ", 100).is_empty() && cut("", 100).is_empty());
    }

    #[test]
    fn paragraphs_are_kept_together_as_long_as_they_fit() {
        assert_eq!(cut("one\n\ntwo\n\nthree\nfour", 12), ["one\n\ntwo", "three\nfour"]);
        assert_eq!(cut("one\ntwo\n\n\n\nthree", 8), ["one\ntwo", "three"]);
    }

    #[test]
    fn a_long_paragraph_is_cut_between_lines_and_a_long_line_between_characters() {
        assert_eq!(cut("one\ntwo\nthree", 9), ["one\ntwo", "three"]);
        assert_eq!(cut("äöüäöü", 5), ["äö", "üä", "öü"]);
        assert_eq!(cut("🦀🦀", 1), ["🦀", "🦀"]);
    }

    #[test]
    fn code_that_is_cut_is_closed_and_opened_again() {
        let text = "see\n\n```rust\none();\n\ntwo();\n```\n\nend";
        assert_eq!(cut(text, 20), ["see", "```rust\none();\n```", "```rust\ntwo();\n```", "end"]);
        let tildes = "~~~\n```\nlong line of code\nx\n~~~";
        assert_eq!(
            cut(tildes, 20),
            ["~~~\n```\n~~~", "~~~\nlong line of\n~~~", "~~~\n code\nx\n~~~"]
        );
    }

    #[test]
    fn code_in_a_list_is_closed_where_it_was_opened() {
        let text = "- x\n\n  ```\n  one\n  two\n  ```";
        assert_eq!(cut(text, 20), ["- x", "  ```\n  one\n  ```", "```\n  two\n  ```"]);
    }

    #[test]
    fn code_that_ends_where_it_is_cut_is_not_opened_again() {
        assert_eq!(cut("```\none\n```\nmore text", 12), ["```\none\n```", "more text"]);
        let parts = cut("```\none\ntwo\n```", 15);
        assert_eq!(parts, ["```\none\ntwo\n```"]);
    }

    /// Fences take place, so that it is not much more than without them.
    #[test]
    fn whatever_is_cut_all_of_it_arrives_in_parts_that_fit() {
        let pieces = [
            "word ",
            "\n",
            "\n\n",
            "```",
            "~~~~",
            "```sh\n",
            "  ```",
            "- ",
            "> ",
            "ä🦀",
            "\r\n",
            "a long line without any end in sight ",
            "`",
            "\t",
        ];
        let mut seed = 7_u32;
        for round in 0..600 {
            let mut text = String::new();
            for _ in 0..round {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                text.push_str(pieces[usize::try_from(seed >> 16).unwrap() % pieces.len()]);
            }
            let parts = cut(&text, 500);
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
            let arrived: usize = parts.iter().map(|part| letters(part)).sum();
            assert!(arrived >= letters(&text), "{text:?} {parts:?}");
            assert!(parts.iter().all(|part| part.len() <= 500), "{text:?} {parts:?}");
        }
    }

    #[test]
    fn a_hostile_text_is_cut_in_little_time_and_into_few_parts() {
        for text in [
            "a\n\n".repeat(50_000),
            "`".repeat(150_000),
            format!("{}\n{}", "`".repeat(30_000), "x\n".repeat(50_000)),
            format!("```{}\n{}", "i".repeat(30_000), "x\n".repeat(50_000)),
            format!("{}```\n{}", " ".repeat(30_000), "x\n".repeat(50_000)),
            "\n```\n".repeat(30_000),
        ] {
            let began = std::time::Instant::now();
            let parts = cut(&text, 40_000);
            assert!(parts.len() <= 12, "{} parts", parts.len());
            assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        }
    }
}
