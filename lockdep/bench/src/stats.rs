//! Figures out of samples.

/// Returns the median; NaN of nothing.
pub fn median(samples: impl IntoIterator<Item = f64>) -> f64 {
    let mut samples: Vec<f64> = samples.into_iter().collect();
    samples.sort_by(f64::total_cmp);
    let count = samples.len();
    match count {
        0 => f64::NAN,
        _ if count % 2 == 1 => samples[count / 2],
        _ => f64::midpoint(samples[count / 2 - 1], samples[count / 2]),
    }
}

/// Returns the median of the quotients of samples that were taken in the same round.
pub fn median_ratio(samples: &[f64], base: &[f64]) -> f64 {
    median(samples.iter().zip(base).map(|(sample, base)| sample / base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
        assert_eq!(median_ratio(&[2.0, 30.0, 8.0], &[1.0, 10.0, 2.0]), 3.0);
    }
}
