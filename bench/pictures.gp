# Draws docs/pictures/*.svg from the curves of bench_regret: ./run pictures, or
#   build/release/bench_regret --curves build/curves.txt && gnuplot -c bench/pictures.gp build/curves.txt docs/pictures
#
# The file has one block for every rule and window, in this order: retract, add, drop; windows 0, 300, 1000. Each
# rule has a panel, all of one scale.

curves = ARG1
folder = ARG2
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
