//! The chart of the known order: cost relative to parking_lot by depth, logarithmic both ways.

use plotters::prelude::*;

use crate::measure::known::Ratios;

const SIZE: (u32, u32) = (860, 480);
const FONT: &str = "sans-serif";
const OURS: &str = "**lockdep**";

/// Returns the chart as SVG.
pub fn known_order(ratios: &Ratios) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let highest = ratios.iter().flat_map(|(_, points)| points).map(|&(_, ratio)| ratio).fold(10.0, f64::max);
        let (plot, labels) = root.split_horizontally(SIZE.0 - 250);
        let mut chart = ChartBuilder::on(&plot)
            .caption("Lock + unlock of a mutex, relative to parking_lot", (FONT, 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d((0.9..9.0_f64).log_scale(), (0.7..highest * 1.5).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("locks held")
            .y_desc("times parking_lot")
            .x_labels(0)
            .y_label_formatter(&|ratio| format!("{ratio}"))
            .label_style((FONT, 14))
            .draw()?;
        for (number, (name, points)) in ratios.iter().enumerate() {
            let is_ours = *name == OURS;
            let color = if is_ours { RED.to_rgba() } else { Palette99::pick(number + 2).to_rgba() };
            let line = points.iter().map(|&(depth, ratio)| (depth as f64, ratio));
            chart.draw_series(LineSeries::new(line.clone(), color.stroke_width(if is_ours { 4 } else { 2 })))?;
            chart.draw_series(line.map(|point| Circle::new(point, if is_ours { 5 } else { 3 }, color.filled())))?;
        }
        legend(&labels, ratios)?;
    }
    Ok(svg)
}

fn legend<B: DrawingBackend>(_area: &DrawingArea<B, plotters::coord::Shift>, _ratios: &Ratios) -> anyhow::Result<()> {
    Ok(())
}
