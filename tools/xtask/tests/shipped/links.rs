//! Links of dashboards target existing dashboards and variables.

use serde_json::Value;

use crate::dashboard::{Dashboard, FILES, file};

/// A link with its location.
#[derive(Debug)]
struct Link {
    place: String,
    url: String,
}

/// Returns every data link of a dashboard.
fn links(dashboard: &Dashboard) -> Vec<Link> {
    let mut found = Vec::new();
    for panel in &dashboard.panels {
        let overrides = panel.field_config.overrides.iter();
        let properties = overrides.flat_map(|over| &over.properties);
        let lists =
            properties.filter(|property| property.id == "links").map(|property| &property.value);
        for list in lists.chain([&panel.field_config.defaults["links"]]) {
            for link in list.as_array().into_iter().flatten() {
                found.push(Link {
                    place: format!("{} / {}", dashboard.uid, panel.title),
                    url: link["url"].as_str().unwrap().to_owned(),
                });
            }
        }
    }
    found
}

/// Returns the problem of a link: its target, or a variable missing in the target or this dashboard.
fn problem(link: &Link, from: &Dashboard, all: &[Dashboard]) -> Option<String> {
    let (path, query) = link.url.split_once('?')?;
    let Some(target) = all.iter().find(|dashboard| path == format!("/d/{}", dashboard.uid)) else {
        return Some(format!("{path} does not exist"));
    };
    let has = |dashboard: &Dashboard, name: &str| {
        let mut variables = dashboard.templating.list.iter();
        variables.any(|variable| variable.name == name)
    };
    let mut parts = query.split('&');
    if parts.next() != Some("${__url_time_range}") {
        return Some("the time range is lost".to_owned());
    }
    for part in parts {
        let kept = part.strip_prefix("${").and_then(|part| part.strip_suffix(":queryparam}"));
        let set = part.strip_prefix("var-").and_then(|part| Some(part.split_once('=')?.0));
        let Some(name) = kept.or(set) else {
            return Some(format!("{part} is not a variable"));
        };
        if !has(target, name) {
            return Some(format!("{} has no variable {name}", target.uid));
        }
        if kept.is_some() && !has(from, name) {
            return Some(format!("{} has no variable {name}", from.uid));
        }
    }
    (!query.contains("datasource")).then(|| "the data source is lost".to_owned())
}

#[test]
fn links_target_dashboards_with_matching_variables() {
    let all = Dashboard::all();
    for dashboard in &all {
        for link in links(dashboard) {
            assert_eq!(problem(&link, dashboard, &all), None, "{link:?}");
        }
    }
}

#[test]
fn broken_links_are_detected() {
    let all = Dashboard::all();
    let kept = "${__url_time_range}&${datasource:queryparam}";
    for (url, wanted) in [
        (format!("/d/campaigns?{kept}"), "does not exist"),
        (format!("/d/campaigns-exporter?{kept}&var-campaign=1"), "no variable campaign"),
        (
            format!("/d/campaigns-campaign?{kept}&${{campaign:queryparam}}"),
            "campaigns-overview has no variable campaign",
        ),
        (format!("/d/campaigns-exporter?{kept}&job=1"), "job=1 is not a variable"),
        ("/d/campaigns-exporter?${datasource:queryparam}".to_owned(), "time range is lost"),
        ("/d/campaigns-exporter?${__url_time_range}".to_owned(), "data source is lost"),
    ] {
        let place = String::new();
        let overview = all.iter().find(|dashboard| dashboard.uid == "campaigns-overview");
        let found = problem(&Link { place, url }, overview.unwrap(), &all).unwrap();
        assert!(found.contains(wanted), "{found}");
    }
}

#[test]
fn every_table_and_bar_gauge_has_a_link() {
    for dashboard in Dashboard::all() {
        for panel in &dashboard.panels {
            if ["table", "bargauge", "state-timeline"].contains(&panel.kind.as_str()) {
                let place = format!("{} / {}", dashboard.uid, panel.title);
                let found = links(&dashboard).into_iter().any(|link| link.place == place);
                assert!(found, "{place}");
            }
        }
    }
}

#[test]
fn the_menu_links_to_the_other_dashboards_with_the_same_variables() {
    for name in FILES {
        let json: Value = serde_json::from_str(&file(name)).unwrap();
        let [menu, ranges @ ..] = json["links"].as_array().unwrap().as_slice() else {
            panic!("{name} has no menu");
        };
        assert_eq!(menu["type"], "dashboards");
        assert_eq!(menu["tags"], json["tags"]);
        assert_eq!(menu["includeVars"], true);
        assert_eq!(menu["keepTime"], true);
        for range in ranges {
            let url = range["url"].as_str().unwrap();
            let own = format!("/d/{}?from=now", name.trim_end_matches(".json"));
            assert!(url.starts_with(&own) && url.contains("&to=now"), "{url}");
            assert!(!url.contains("now/") && !url.contains("/M"), "{url} is not encoded");
            assert_eq!(range["includeVars"], true);
            assert_eq!(range["keepTime"], false);
        }
    }
}
