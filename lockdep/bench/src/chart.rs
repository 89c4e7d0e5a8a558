//! The chart of the known order: cost relative to parking_lot by depth, logarithmic both ways.

use plotters::{coord::Shift, prelude::*};

use crate::measure::known::Ratios;

const SIZE: (u32, u32) = (900, 480);
const LEGEND_WIDTH: u32 = 290;
const FONT: &str = "sans-serif";
/// Colours that are not taken for ours.
const OTHERS: [RGBColor; 10] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 0, 0),
    RGBColor(120, 120, 120),
    RGBColor(190, 190, 190),
    RGBColor(140, 86, 75),
    RGBColor(148, 103, 189),
    RGBColor(31, 119, 180),
    RGBColor(44, 160, 44),
    RGBColor(255, 127, 14),
    RGBColor(23, 190, 207),
];
/// Ours is drawn thick.
const OURS: &str = "**lockdep**";

/// Returns the chart as SVG.
pub fn known_order(ratios: &Ratios) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (plot, keys) = root.split_horizontally(SIZE.0 - LEGEND_WIDTH);
        lines(&plot, ratios)?;
        legend(&keys, ratios)?;
        root.present()?;
    }
    Ok(svg)
}

fn lines<'a>(area: &DrawingArea<SVGBackend<'a>, Shift>, ratios: &Ratios) -> anyhow::Result<()> {
    let highest = ratios.iter().flat_map(|(_, points)| points).map(|&(_, ratio)| ratio).fold(10.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption("Lock + unlock of a known mutex, relative to parking_lot", (FONT, 17))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(62)
        .build_cartesian_2d(-0.15..3.15, (0.7..highest * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("locks held")
        .x_labels(4)
        .x_label_formatter(&|doublings: &f64| format!("{}", doublings.exp2()))
        .y_desc("times parking_lot")
        .y_label_formatter(&|ratio| format!("{ratio}"))
        .label_style((FONT, 14))
        .draw()?;
    let mut order: Vec<usize> = (0..ratios.len()).collect();
    // Ours last, on top of what it covers.
    order.sort_by_key(|&number| ratios[number].0 == OURS);
    for number in order {
        let (name, points) = &ratios[number];
        let (color, is_ours) = style(number, name);
        let line = points.iter().map(|&(depth, ratio)| ((depth as f64).log2(), ratio));
        chart.draw_series(LineSeries::new(line.clone(), color.stroke_width(if is_ours { 4 } else { 2 })))?;
        chart.draw_series(line.map(|point| Circle::new(point, if is_ours { 5 } else { 3 }, color.filled())))?;
    }
    Ok(())
}

/// Returns the colour of a line, and whether it is ours.
fn style(number: usize, name: &str) -> (RGBAColor, bool) {
    let is_ours = name == OURS;
    let color = if is_ours { RED } else { OTHERS[number % OTHERS.len()] };
    (color.to_rgba(), is_ours)
}

/// Names the lines from the top down, as they end at the right.
fn legend<'a>(area: &DrawingArea<SVGBackend<'a>, Shift>, ratios: &Ratios) -> anyhow::Result<()> {
    let end = |points: &[(usize, f64)]| points.last().map_or(0.0, |point| point.1);
    let mut order: Vec<usize> = (0..ratios.len()).collect();
    order.sort_by(|&a, &b| end(&ratios[b].1).total_cmp(&end(&ratios[a].1)));
    for (place, &number) in order.iter().enumerate() {
        let (name, points) = &ratios[number];
        let y = 60 + 24 * i32::try_from(place)?;
        let (color, _) = style(number, name);
        area.draw(&Rectangle::new([(4, y), (22, y + 6)], color.filled()))?;
        let name = name.trim_matches('*').replace('`', "").replace(" (a)", "");
        area.draw(&Text::new(format!("{name}: {:.2}", end(points)), (30, y - 5), (FONT, 14)))?;
    }
    area.draw(&Text::new("at depth 8:", (4, 36), (FONT, 14)))?;
    Ok(())
}
