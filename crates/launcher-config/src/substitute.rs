//! Replaces `${NAME}` in text, and `$${` by a literal `${`.

use crate::{
    diagnostic::Diagnostic,
    environment::{Lookup, Variables},
    source::Place,
};

/// Text with its references replaced.
#[derive(Clone)]
pub(crate) struct Text {
    pub(crate) value: String,
    /// Whether a variable is part of it. If so it is not shown to anybody.
    pub(crate) referenced: bool,
}

/// How many problems of one text are reported. Finding the place of each takes
/// as long as the text.
const MAX_PROBLEMS: usize = 8;

/// Replaces every reference, or reports those that cannot be.
pub(crate) fn substitute(
    text: &str,
    place: &Place,
    path: &str,
    variables: &Variables<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Text> {
    let mut out = Text { value: String::with_capacity(text.len()), referenced: false };
    let reported = found.len();
    let mut good = true;
    let mut rest = text;
    let mut seen = 0;
    while let Some(at) = rest.find("${") {
        if found.len() - reported >= MAX_PROBLEMS {
            return None;
        }
        let (before, from) = rest.split_at(at);
        seen += 1;
        if let Some(before) = before.strip_suffix('$') {
            out.value.push_str(before);
            out.value.push_str("${");
            rest = from.get(2..).unwrap_or_default();
            continue;
        }
        out.value.push_str(before);
        out.referenced = true;
        let here = |length| reference(place, text, seen - 1, length);
        let Some((name, after)) = from.get(2..).and_then(|inner| inner.split_once('}')) else {
            found.push(
                Diagnostic::at(&here(2), path, "this `${` has no `}`")
                    .label("write `${NAME}`, or `$${` for a literal `${`"),
            );
            return None;
        };
        match replace(name, variables) {
            Ok(Some(value)) => out.value.push_str(&value),
            Ok(None) => good = false,
            Err(problem) => {
                good = false;
                let shown = Diagnostic::at(&here(name.len() + 3), path, problem.message);
                found.push(Diagnostic { hint: Some(problem.hint), ..shown }.label(problem.label));
            }
        }
        rest = after;
    }
    out.value.push_str(rest);
    good.then_some(out)
}

struct Problem {
    message: String,
    label: String,
    hint: String,
}

fn replace(name: &str, variables: &Variables<'_>) -> Result<Option<String>, Problem> {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let starts = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    if !starts || !name.chars().all(plain) {
        return Err(Problem {
            message: "this is not the name of a variable".to_owned(),
            label: "a name is made of letters, digits and `_`".to_owned(),
            hint: "write `$${` for a literal `${`".to_owned(),
        });
    }
    match variables.look_up(name) {
        Lookup::Set(value) => Ok(Some(value)),
        Lookup::Unknown => Ok(None),
        Lookup::Missing(near) => Err(Problem {
            message: format!("the variable `{name}` is not set"),
            label: near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default(),
            hint: format!("set `{name}` in the environment or in `.env`"),
        }),
    }
}

/// The place of the `number`th `${` of a scalar. An escape in the source can
/// hide one; then it is the whole scalar.
fn reference(place: &Place, text: &str, number: usize, length: usize) -> Place {
    let source = place.text();
    if source.matches("${").count() != text.matches("${").count() {
        return place.clone();
    }
    match source.match_indices("${").nth(number) {
        Some((at, _)) => place.part(at, length),
        None => place.clone(),
    }
}
