//! What a page says about itself at its top. Not more of HTML than that.

use url::Url;

use crate::{
    values::{is_blank, scrub},
    wire::Link,
};

/// The most letters of each text.
const LONGEST: usize = 500;

/// What a page says about itself; nothing if it has no title and no description.
pub(super) fn about(link: &Url, page: &str) -> Option<Link> {
    let named = |names: &[&str]| names.iter().find_map(|name| meta(page, name));
    let title = named(&["og:title", "twitter:title"]).or_else(|| title(page));
    let description = named(&["og:description", "description", "twitter:description"]);
    if title.is_none() && description.is_none() {
        return None;
    }
    let image_url = named(&["og:image"]).and_then(|image| link.join(&image).ok());
    let image_url = image_url.filter(|image| matches!(image.scheme(), "http" | "https"));
    Some(Link {
        kind: "link",
        url: link.to_string(),
        title,
        description,
        site_name: named(&["og:site_name"]),
        image_url: image_url.map(|image| image.to_string()),
    })
}

fn text(raw: &str) -> Option<String> {
    let words = scrub(&decoded(raw));
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(words.chars().take(LONGEST).collect()).filter(|text: &String| !is_blank(Some(text)))
}

fn title(page: &str) -> Option<String> {
    let begin = find(page, "<title")?;
    let (_, rest) = page.get(begin..)?.split_once('>')?;
    text(rest.get(..find(rest, "</title")?)?)
}

/// Where a text begins that is in lower case here and in any case there.
fn find(page: &str, wanted: &str) -> Option<usize> {
    let (page, wanted) = (page.as_bytes(), wanted.as_bytes());
    page.windows(wanted.len()).position(|part| part.eq_ignore_ascii_case(wanted))
}

/// The `content` of the first `meta` with this name or property.
fn meta(page: &str, name: &str) -> Option<String> {
    let mut rest = page;
    while let Some(begin) = find(rest, "<meta") {
        rest = rest.get(begin.checked_add("<meta".len())?..)?;
        let found = attributes(rest);
        let value = |wanted: &str| found.iter().find(|(name, _)| name == wanted).map(|(_, v)| *v);
        let is_it = |value: &str| value.eq_ignore_ascii_case(name);
        if ["name", "property"].iter().any(|key| value(key).is_some_and(is_it)) {
            return text(value("content")?);
        }
    }
    None
}

/// Names and values up to the end of a tag.
fn attributes(mut rest: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '/');
        let end = rest.find(|letter: char| letter.is_whitespace() || "=/>".contains(letter));
        let Some((name, after)) = end.and_then(|end| rest.split_at_checked(end)) else { break };
        if name.is_empty() {
            break;
        }
        let Some(value) = after.trim_start().strip_prefix('=').map(str::trim_start) else {
            found.push((name.to_ascii_lowercase(), ""));
            rest = after;
            continue;
        };
        let quoted = ['"', '\''].iter().find_map(|quote| {
            value.strip_prefix(*quote).and_then(|value| value.split_once(*quote))
        });
        let bare = || {
            let end = value.find(|letter: char| letter.is_whitespace() || letter == '>');
            value.split_at(end.unwrap_or(value.len()))
        };
        let (value, after) = quoted.unwrap_or_else(bare);
        found.push((name.to_ascii_lowercase(), value));
        rest = after;
    }
    found
}

/// The few names of letters that stand in titles, and numbers.
fn decoded(raw: &str) -> String {
    let mut text = String::new();
    let mut parts = raw.split('&');
    text.extend(parts.next());
    for part in parts {
        let letter = part.split_once(';').and_then(|(name, rest)| Some((letter(name)?, rest)));
        match letter {
            Some((letter, rest)) => {
                text.push(letter);
                text.push_str(rest);
            }
            None => {
                text.push('&');
                text.push_str(part);
            }
        }
    }
    text
}

fn letter(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(page: &str) -> Option<Link> {
        about(&"https://example.org/a".parse().unwrap(), page)
    }

    #[test]
    fn the_top_of_a_page_is_read() {
        let link = look(
            "<!doctype html><HEAD><Title lang=en> A &amp; B\n&#x2014; c </TITLE>\
             <meta property='og:description' content=\"It's &quot;d&quot;\"/>\
             <META content=site property = og:site_name>\
             <meta property=og:image content=/i.png>",
        )
        .unwrap();
        assert_eq!(link.title.as_deref(), Some("A & B — c"));
        assert_eq!(link.description.as_deref(), Some("It's \"d\""));
        assert_eq!(link.site_name.as_deref(), Some("site"));
        assert_eq!(link.image_url.as_deref(), Some("https://example.org/i.png"));
    }

    #[test]
    fn a_page_that_says_nothing_about_itself_has_no_preview() {
        for page in
            ["", "<", "<title>", "<title></title>", "<meta", "<meta name=\"description\"", "é<ti"]
        {
            assert!(look(page).is_none(), "{page}");
        }
        let image = "<title>a</title><meta property=og:image content='javascript:alert(1)'>";
        assert_eq!(look(image).unwrap().image_url, None);
    }
}
