//! Plots as SVG.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

/// A line with its name.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// One panel of lines over a common horizontal axis.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) across: &'a str,
    pub(crate) up: &'a str,
    pub(crate) lines: &'a [Line],
    /// Whether the vertical axis is logarithmic.
    pub(crate) logarithmic: bool,
}

/// Named quantities beside each other, the first on top.
pub(crate) struct Bars<'a> {
    pub(crate) title: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) bars: &'a [(String, f64)],
}

type Answer = Result<(), Box<dyn Error>>;

const WIDTH: u32 = 900;
const HEIGHT: u32 = 320;

/// Writes the panels below each other.
pub(crate) fn panels(file: &Path, panels: &[Panel<'_>]) -> Answer {
    let area = SVGBackend::new(file, (WIDTH, HEIGHT * panels.len() as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    for (part, panel) in area.split_evenly((panels.len(), 1)).iter().zip(panels) {
        draw_panel(part, panel)?;
    }
    area.present()?;
    Ok(())
}

/// Writes bars, a group below the other.
pub(crate) fn bars(file: &Path, groups: &[Bars<'_>]) -> Answer {
    let heights: Vec<u32> = groups.iter().map(|group| 60 + 26 * group.bars.len() as u32).collect();
    let area = SVGBackend::new(file, (WIDTH, heights.iter().sum())).into_drawing_area();
    area.fill(&WHITE)?;
    let mut rest = area;
    for (group, height) in groups.iter().zip(heights) {
        let (upper, lower) = rest.split_vertically(height);
        draw_bars(&upper, group)?;
        rest = lower;
    }
    rest.present()?;
    Ok(())
}

fn range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low < high { low..high } else { 0.0..1.0 }
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel<'_>) -> Answer {
    let points = panel.lines.iter().flat_map(|line| &line.points);
    let across = range(points.clone().map(|point| point.0));
    let up = range(points.map(|point| point.1));
    let mut builder = ChartBuilder::on(area);
    builder.caption(panel.title, ("sans-serif", 16)).margin(8).x_label_area_size(36).y_label_area_size(64);
    // The two axes have types of their own, and so two charts.
    macro_rules! draw {
        ($chart:expr) => {{
            let mut chart = $chart;
            chart.configure_mesh().light_line_style(WHITE).x_desc(panel.across).y_desc(panel.up).draw()?;
            for (index, line) in panel.lines.iter().enumerate() {
                let colour = Palette99::pick(index).to_rgba();
                chart
                    .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))?
                    .label(line.name.clone())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.8))
                .border_style(BLACK.mix(0.3))
                .draw()?;
        }};
    }
    if panel.logarithmic {
        let floor = up.start.max(0.01);
        draw!(builder.build_cartesian_2d(across, (floor..up.end.max(floor * 10.0)).log_scale())?);
    } else {
        draw!(builder.build_cartesian_2d(across, 0.0..up.end * 1.15)?);
    }
    Ok(())
}

fn draw_bars(area: &DrawingArea<SVGBackend<'_>, Shift>, group: &Bars<'_>) -> Answer {
    let font = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    area.draw(&Text::new(format!("{} ({})", group.title, group.unit), (10, 12), font(16)))?;
    let most = group.bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let (left, room) = (250, f64::from(WIDTH - 360));
    for (index, (name, value)) in group.bars.iter().enumerate() {
        let top = 40 + 26 * index as i32;
        let length = if most > 0.0 { (value / most * room) as i32 } else { 0 };
        let colour = Palette99::pick(index).to_rgba();
        area.draw(&Text::new(name.clone(), (10, top + 3), font(14)))?;
        area.draw(&Rectangle::new([(left, top), (left + length, top + 18)], colour.filled()))?;
        area.draw(&Text::new(format!("{value:.0}"), (left + length + 6, top + 3), font(14)))?;
    }
    Ok(())
}
