# Draws docs/pictures/*.svg from the curves of bench_regret: ./run pictures, or
#   build/release/bench_regret --curves build/curves.txt && gnuplot -c bench/pictures.gp build/curves.txt docs/pictures
#
# The file has one block for every rule and window, in this order: retract, add, drop; windows 0, 300, 1000.

curves = ARG1
folder = ARG2
array rules[3] = ["taken back and learned anew", "added, the negative stays", "lost"]
array windows[3] = ["0", "300", "1,000"]
array colours[3] = ["#1b7f5c", "#c77700", "#8a8f98"]

set terminal svg size 760,440 dynamic background "#ffffff" font "sans-serif,13"
set border 3 linecolor "#555555"
set tics nomirror
set grid ytics linecolor "#dddddd" linewidth 0.5
set xlabel "rounds, one impression each (thousands)"
set key outside right top samplen 2.5 spacing 1.2 width -2 title "late clicks; window" left
set style data lines

set output folder . "/regret.svg"
set title "What late labels cost: clicks lost to the best document, so far" left
set logscale y
set format y "%'.0f"
plot for [i = 0:8] curves index i using ($1 / 1000):2 linecolor rgb colours[i / 3 + 1] dashtype i % 3 + 1 \
    linewidth 2 title rules[i / 3 + 1] . "; " . windows[i % 3 + 1]

set output folder . "/calibration.svg"
set title "What is served: mean prediction over true rate" left
set yrange [0.05:1.5]
set ytics (0.05, 0.1, 0.2, 0.5, 1)
set format y "%g"
plot 1 linecolor rgb "#bbbbbb" linewidth 1 notitle, \
    for [i = 0:8] curves index i using ($1 / 1000):3 linecolor rgb colours[i / 3 + 1] dashtype i % 3 + 1 \
    linewidth 2 title rules[i / 3 + 1] . "; " . windows[i % 3 + 1]
