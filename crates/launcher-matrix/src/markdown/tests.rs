use super::html;

#[test]
fn markdown_becomes_html() {
    for (markdown, expected) in [
        ("a *b* **c** `d`", "a <em>b</em> <strong>c</strong> <code>d</code>"),
        ("one\n**two**", "one<br />\n<strong>two</strong>"),
        ("~~no~~", "<del>no</del>"),
        ("a\n\nb", "<p>a</p>\n<p>b</p>"),
        ("# head\n- x\n- y", "<h1>head</h1>\n<ul>\n<li>x</li>\n<li>y</li>\n</ul>"),
        ("```sh\nls <x>\n```", "<pre><code class=\"language-sh\">ls &lt;x&gt;\n</code></pre>"),
        ("[x](https://a.test/?a=1&b=2)", "<a href=\"https://a.test/?a=1&amp;b=2\">x</a>"),
        ("3. c\n4. d", "<ol start=\"3\">\n<li>c</li>\n<li>d</li>\n</ol>"),
        ("<a@b.test>", "<a href=\"mailto:a@b.test\">a@b.test</a>"),
    ] {
        assert_eq!(html(markdown).as_deref(), Some(expected), "{markdown}");
    }
}

#[test]
fn what_is_only_text_stays_only_text() {
    for text in ["hello", "2 < 3 & 4 > 1", "one\ntwo", "ä – ß\n", "snake_case_name", ""] {
        assert_eq!(html(text), None, "{text}");
    }
}

#[test]
fn html_is_shown_and_not_obeyed() {
    let found = html("*a* <b onclick=\"x\">b</b>\n\n<script>alert(1)</script>").unwrap();
    assert!(!found.contains("<b") && !found.contains("<script"), "{found}");
    assert!(found.contains("&lt;script&gt;"), "{found}");
    assert_eq!(
        html("*a*\n\n<div>\n<p>\n").as_deref(),
        Some("<p><em>a</em></p>\n<p>&lt;div&gt;<br />\n&lt;p&gt;</p>")
    );
}

#[test]
fn links_lead_only_where_links_may_lead() {
    for (markdown, expected) in [
        ("[x](javascript:alert(1))", "x"),
        ("[x](java&#x73;cript:alert(1))", "x"),
        ("<vbscript:x>", "vbscript:x"),
        ("[x](data:text/html,hi)", "x"),
        ("[x](//evil.test)", "x"),
        ("[*x*](relative)", "<em>x</em>"),
        ("[x](HTTPS://a.test \"a title\")", "<a href=\"HTTPS://a.test\">x</a>"),
        ("[x](matrix:r/a:b.test)", "<a href=\"matrix:r/a:b.test\">x</a>"),
    ] {
        assert_eq!(html(markdown).as_deref(), Some(expected), "{markdown}");
    }
}

#[test]
fn a_picture_from_elsewhere_is_a_link() {
    for (markdown, expected) in [
        ("![a *b*](https://a.test/?s=1)", "<a href=\"https://a.test/?s=1\">a b</a>"),
        ("![](https://a.test/b)", "<a href=\"https://a.test/b\">https://a.test/b</a>"),
        ("![a](mxc://a.test/b)", "a"),
        ("[![a](https://a.test)](https://b.test)", "<a href=\"https://b.test\">a</a>"),
        ("![![a](https://c.test)](https://b.test)", "<a href=\"https://b.test\">a</a>"),
    ] {
        assert_eq!(html(markdown).as_deref(), Some(expected), "{markdown}");
    }
}

#[test]
fn a_table_has_no_style() {
    let found = html("|a|b|\n|:-|-:|\n|1|2|").unwrap();
    assert!(found.contains("<th>a</th>") && found.contains("<td>2</td>"), "{found}");
}

#[test]
fn what_is_too_deep_is_flat() {
    let found = html(&format!("{}deep\n\n*end*", ">".repeat(5_000))).unwrap();
    assert_eq!(found.matches("<blockquote>").count(), 32, "{found}");
    assert!(found.contains("deep") && found.contains("<em>end</em>"), "{found}");
}

/// Tags and their attributes, by the specification's list (`m.text`).
fn is_allowed(tag: &str, attribute: Option<(&str, &str)>) -> bool {
    let plain = [
        "p",
        "br",
        "hr",
        "em",
        "strong",
        "del",
        "code",
        "pre",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "ul",
        "ol",
        "li",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ];
    match (tag, attribute) {
        (tag, None) => plain.contains(&tag),
        ("code", Some(("class", class))) => {
            class.starts_with("language-") && !class.contains(char::is_whitespace)
        }
        ("ol", Some(("start", number))) => number.chars().all(|digit| digit.is_ascii_digit()),
        ("a", Some(("href", address))) => {
            let address = address.to_lowercase();
            ["https:", "http:", "ftp:", "mailto:", "magnet:", "matrix:"]
                .iter()
                .any(|scheme| address.starts_with(scheme))
        }
        _ => false,
    }
}

/// Reads HTML as strictly as can be; an error says what is not allowed.
fn scan(html: &str) -> Result<usize, String> {
    let mut rest = html;
    let (mut open, mut deepest): (Vec<&str>, usize) = (Vec::new(), 0);
    while let Some(at) = rest.find(['<', '>', '&']) {
        if rest[at..].starts_with('&') {
            let entity = rest[at..].split_inclusive(';').next().unwrap_or_default();
            let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#x27;", "&#39;"];
            rest = &rest[at + entity.len()..];
            match known.contains(&entity) {
                true => continue,
                false => return Err(format!("entity {entity}")),
            }
        }
        let tag = rest[at..].strip_prefix('<').ok_or("a lonely >")?;
        let end = tag.find('>').ok_or("a tag without end")?;
        rest = &tag[end + 1..];
        let tag = tag[..end].trim_end_matches(['/', ' ']);
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() == Some(name) {
                true => continue,
                false => return Err(format!("</{name}> closes nothing")),
            }
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if !is_allowed(name, None) {
            return Err(format!("<{name}>"));
        }
        if !attributes.is_empty() {
            let (key, value) = attributes.split_once("=\"").ok_or("a bare attribute")?;
            let value = value.strip_suffix('"').ok_or("an open attribute")?;
            if value.contains('"') || !is_allowed(name, Some((key, value))) {
                return Err(format!("<{name} {attributes}>"));
            }
        }
        if !["br", "hr"].contains(&name) {
            open.push(name);
            if name == "a" && open.iter().filter(|name| **name == "a").count() > 1 {
                return Err("a link in a link".to_owned());
            }
        }
        deepest = deepest.max(open.len());
    }
    match open.is_empty() {
        true => Ok(deepest),
        false => Err(format!("{open:?} stay open")),
    }
}

#[test]
fn the_scanner_refuses_what_is_not_allowed() {
    for bad in [
        "<script>x</script>",
        "<p onclick=\"x\">x</p>",
        "<a href=\"javascript:x\">x</a>",
        "<img src=\"https://a\" />",
        "<td style=\"text-align: left\">x</td>",
        "<p>x",
        "a > b",
        "&nbsp;",
        "<a href=\"https:a\" title=\"x\">x</a>",
    ] {
        assert!(scan(bad).is_err(), "{bad}");
    }
}

/// Beginnings and pieces of everything that was ever used to get HTML through.
const NASTY: &[&str] = &[
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt:alert(1))",
    "[a](java\tscript:alert(1))",
    "[a](java&Tab;script:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a]( javascript:x)",
    "<javascript:alert(1)>",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](file:///etc/passwd)",
    "![a](https://evil.test/\"onerror=\"alert(1))",
    "![a](javascript:x)",
    "![](mxc://a/b)",
    "[a](https://a.test/\"><script>x</script>)",
    "[a](https://a 'x\" onclick=\"y')",
    "[a][b]\n\n[b]: javascript:x \"t\"",
    "[b]: https://a.test \"x\\\" y\"\n\n[b]",
    "<https://a.test/\"onclick=\"x>",
    "<a@b.c\">",
    "```\"><script>\nx\n```",
    "```a\tonclick=x b\nx\n```",
    "~~~ js\" onload=\"x\n<b>\n~~~",
    "    <b>code</b>",
    "|a|b|\n|:-:|-|\n|<i>|`|`|",
    "|a|\n|-|\n",
    "# h {#id onclick=x .c}",
    "> [!NOTE]\n> x",
    ">>>>>>>>>>",
    "- - - - - -",
    "1. a\n",
    "99999999999. a\n",
    "* * *",
    "***a**b*",
    "______",
    "<!-- x -->",
    "<?php x ?>",
    "<![CDATA[x]]>",
    "<!DOCTYPE x>",
    "</p></div></body>",
    "<details><summary>x</summary>y</details>",
    "<p",
    "<a href=\"https://a\">",
    "&lt;b&gt;",
    "&amp;lt;",
    "&#60;script&#62;",
    "&nbsp;",
    "\u{0}",
    "\u{202e}",
    "\\<b>",
    "`<b>`",
    "``` `",
    "\n",
    "\n\n",
    "  \n",
    " ",
    "[",
    "](",
    ")",
    "!",
    "[^1]",
    "[^1]: note",
    "$x<y$",
    "- [ ] task",
    "https://bare.test/<b>",
    "\"",
    "'",
    "\r\n",
    "===\n",
    "a\n---\n",
];

#[test]
fn nothing_but_allowed_html_comes_out() {
    let check = |markdown: &str| {
        if let Some(html) = html(markdown) {
            match scan(&html) {
                // One cell's text is one level more than the tags that are counted.
                Ok(deepest) => assert!(deepest <= 34, "{deepest} levels of {markdown:?}"),
                Err(what) => panic!("{what} in {html}\nof {markdown:?}"),
            }
        }
    };
    NASTY.iter().for_each(|markdown| check(markdown));
    let mut seed = 1_u32;
    for round in 0..20_000 {
        let mut text = String::new();
        for _ in 0..(2 + round % 24) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(NASTY[usize::try_from(seed >> 12).unwrap() % NASTY.len()]);
        }
        check(&text);
    }
}
