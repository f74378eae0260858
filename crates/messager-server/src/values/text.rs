//! What people write, before it is looked at.

use icu_properties::{CodePointMapData, props::GeneralCategory};

/// Takes out what nobody can see: controls except line breaks and tabs,
/// formats and marks without a width.
pub(crate) fn scrub(text: &str) -> String {
    let category = CodePointMapData::<GeneralCategory>::new();
    let stays = |letter: &char| match category.get(*letter) {
        GeneralCategory::Control => matches!(letter, '\n' | '\r' | '\t'),
        GeneralCategory::Format | GeneralCategory::NonspacingMark => false,
        _ => true,
    };
    text.chars().filter(stays).collect()
}

/// How long a text is in units of UTF-16, in which the limits are counted.
pub(crate) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Whether there is nothing in it that could be read.
pub(crate) fn is_blank(text: Option<&str>) -> bool {
    text.is_none_or(|text| text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_letters_are_taken_out_and_line_breaks_stay() {
        assert_eq!(scrub("a\u{200b}b\u{0}c\u{301}\r\n\td"), "abc\r\n\td");
        assert_eq!(scrub("ñ 日本 🙂"), "ñ 日本 🙂");
    }

    #[test]
    fn a_letter_outside_the_first_plane_counts_twice() {
        assert_eq!(length("a🙂"), 3);
    }
}
