# Draws docs/pictures/*.svg: ./run pictures, or
#   build/release/bench_regret --curves build/curves.txt && build/release/bench_calibration --curves build/lr.txt &&
#   gnuplot -c bench/pictures.gp build/curves.txt build/lr.txt docs/pictures
#
# Of bench_regret: one block for every rule and window, in this order: retract, add, drop; windows 0, 300, 1000. Each
# rule has a panel, all of one scale. Of bench_calibration: two blocks for every form of lr, reliability and coverage.

curves = ARG1
lr = ARG2
folder = ARG3
array rules[3] = ["counted, negative taken back", "counted, negative kept", "not counted"]
array windows[3] = ["0", "300", "1,000"]
array colours[3] = ["#0b5c8a", "#3f9bc9", "#e08214"]

set terminal svg size 820,380 dynamic background "#ffffff" font "sans-serif,12"
set border 3 linecolor "#555555"
set tics nomirror
set xtics 0, 100, 300
set xrange [0:300]
set grid ytics linecolor "#dddddd" linewidth 0.5
set xlabel "thousand rounds"
set style data lines
set logscale y

set output folder . "/regret.svg"
set multiplot layout 1, 3 margins 0.085, 0.97, 0.15, 0.80 spacing 0.05 \
    title "Clicks lost to the best document, so far, when clicks behind the window are ..."
set yrange [200:50000]
set ytics ("300" 300, "1,000" 1000, "3,000" 3000, "10,000" 10000, "30,000" 30000)
do for [rule = 1:3] {
    set title rules[rule]
    if (rule == 1) { set key top left title "window, rounds" left samplen 2 reverse Left } else { unset key }
    if (rule > 1) { set format y ""; set ytics ("" 300, "" 1000, "" 3000, "" 10000, "" 30000) }
    plot for [i = 0:2] curves index 3 * (rule - 1) + i using ($1 / 1000):2 linecolor rgb colours[i + 1] linewidth 2 \
        title windows[i + 1]
}
unset multiplot

set output folder . "/calibration.svg"
set multiplot layout 1, 3 margins 0.085, 0.97, 0.15, 0.80 spacing 0.05 \
    title "Served mean over true rate (1 is right), when clicks behind the window are ..."
set yrange [0.005:1.5]
set format y "%g"
set ytics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
do for [rule = 1:3] {
    set title rules[rule]
    if (rule == 1) { set key bottom right title "window, rounds" left samplen 2 reverse Left } else { unset key }
    if (rule > 1) { set ytics ("" 0.01, "" 0.02, "" 0.05, "" 0.1, "" 0.2, "" 0.5, "" 1) }
    plot for [i = 0:2] curves index 3 * (rule - 1) + i using ($1 / 1000):3 linecolor rgb colours[i + 1] linewidth 2 \
        title windows[i + 1]
}
unset multiplot

# ---- lr: are its probabilities right, and is it as sure as it may be? ----

array forms[3] = ["full", "diagonal, batches of 100", "diagonal, one by one"]

set output folder . "/lr_calibration.svg"
set multiplot layout 1, 2 margins 0.085, 0.97, 0.15, 0.84 spacing 0.11 \
    title "Logistic regression on simulated clicks"
set grid xtics ytics linecolor "#dddddd" linewidth 0.5
set key top left title "" samplen 2 reverse Left
set logscale xy
set title "predictions made before learning"
set xlabel "mean prediction"
set ylabel "clicked" offset 1
set xrange [0.005:0.8]
set yrange [0.005:0.8]
set format "%g"
set xtics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
set ytics (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
plot x with lines linecolor "#777777" linewidth 1.2 dashtype 2 notitle, \
    for [i = 0:2] lr index 2 * i using 1:2:3 with yerrorlines linecolor rgb colours[i + 1] linewidth 1.5 pointtype 7 \
        pointsize 0.4 title forms[i + 1]
unset logscale
set title "posteriors of 50 samples or more"
set xlabel "interval of the posterior, %"
set ylabel "true scores in it, %" offset 1
set xrange [0:100]
set yrange [0:100]
set xtics 0, 20, 100
set ytics 0, 20, 100
plot x with lines linecolor "#777777" linewidth 1.2 dashtype 2 notitle, \
    for [i = 0:2] lr index 2 * i + 1 using 1:2 with linespoints linecolor rgb colours[i + 1] linewidth 1.5 pointtype 7 \
        pointsize 0.4 title forms[i + 1]
unset multiplot
