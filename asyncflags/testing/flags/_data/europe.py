"""The flags of Europe, in the notation of ``asyncflags.testing.flags.notation``."""

from __future__ import annotations

TABLE = """
DE | Germany | 84_600_000 | horizontal black #dd0000 #ffce00
RU | Russia | 144_800_000 | horizontal white #0039a6 #d52b1e
GB | United Kingdom | 69_100_000 | union-jack
FR | France | 66_500_000 | vertical #0050a4 white #ef4135
IT | Italy | 59_300_000 | vertical #009246 white #ce2b37
ES | Spain | 47_900_000 | horizontal #aa151b*1 #f1bf00*2 #aa151b*1; rectangle silver 34 42 4 24;
    rectangle silver 62 42 4 24; rectangle #c9a000 33 39.5 6 3; rectangle #c9a000 61 39.5 6 3;
    path #aa151b 2 34,56 38,52; path #aa151b 2 62,52 66,56; shield #aa151b 50 38 20 31;
    rectangle white 50 38 9.6 11; lion #8e44ad 55 43.5 4; rectangle #f1bf00 42.5 40 5 7;
    rectangle #f1bf00 40.4 50 9.6 10; vertical #aa151b #f1bf00 #aa151b #f1bf00 #aa151b 41 51 9 9;
    ring #f1bf00 55 55 3.4 0.9; disc #005bbf 50 50 2.6; crown #a87a00 50 34 8
PL | Poland | 38_500_000 | horizontal white #dc143c
UA | Ukraine | 37_900_000 | horizontal #0057b7 #ffd700
RO | Romania | 19_000_000 | vertical #002b7f #fcd116 #ce1126
NL | Netherlands | 18_200_000 | horizontal #ae1c28 white #21468b
BE | Belgium | 11_700_000 | vertical black #fdda24 #ef3340
CZ | Czechia | 10_700_000 | horizontal white #d7141a; triangle #11457e 75
SE | Sweden | 10_600_000 | field #006aa7; cross #fecc02 56.2 50 20
PT | Portugal | 10_400_000 | vertical #006600*2 #ff0000*3; disc #ffe000 60 50 20; ring #7a6a00 60 50 20.4 1.2;
    ring #7a6a00 60 50 15 1; path #7a6a00 1.2 44,40 76,60; path #7a6a00 1.2 44,60 76,40;
    path #7a6a00 1.2 41,50 79,50; shield white 60 34.5 24 31; shield #ff0000 60 35.5 22 29;
    shield white 60 40 13 19; shield #003399 60 41 3.6 4.6; shield #003399 60 46.4 3.6 4.6;
    shield #003399 60 51.8 3.6 4.6; shield #003399 55.8 46.4 3.6 4.6; shield #003399 64.2 46.4 3.6 4.6;
    rectangle #ffe000 50.3 37 2.2 2.2; rectangle #ffe000 58.9 36.4 2.2 2.2; rectangle #ffe000 67.5 37 2.2 2.2;
    rectangle #ffe000 50.3 48 2.2 2.2; rectangle #ffe000 67.5 48 2.2 2.2; rectangle #ffe000 53 58 2.2 2.2;
    rectangle #ffe000 65 58 2.2 2.2
GR | Greece | 10_000_000 | horizontal #0d5eaf white #0d5eaf white #0d5eaf white #0d5eaf white #0d5eaf;
    rectangle #0d5eaf 0 0 55.56 55.56; rectangle white 22.2 0 11.1 55.56; rectangle white 0 22.2 55.56 11.1
HU | Hungary | 9_680_000 | horizontal #cd2a3e white #436f4d
AT | Austria | 9_120_000 | horizontal #ed2939 white #ed2939
BY | Belarus | 9_060_000 | horizontal #c8313e*2 #4aa657*1; rectangle white 0 0 17 100;
    diamond #c8313e 8.5 8.3 8.3; diamond white 8.5 8.3 5; diamond #c8313e 8.5 8.3 2.6;
    diamond #c8313e 8.5 25 8.3; diamond white 8.5 25 5; diamond #c8313e 8.5 25 2.6;
    diamond #c8313e 8.5 41.7 8.3; diamond white 8.5 41.7 5; diamond #c8313e 8.5 41.7 2.6;
    diamond #c8313e 8.5 58.3 8.3; diamond white 8.5 58.3 5; diamond #c8313e 8.5 58.3 2.6;
    diamond #c8313e 8.5 75 8.3; diamond white 8.5 75 5; diamond #c8313e 8.5 75 2.6;
    diamond #c8313e 8.5 91.7 8.3; diamond white 8.5 91.7 5; diamond #c8313e 8.5 91.7 2.6;
    diamond #c8313e 2 0 4; diamond #c8313e 15 0 4; diamond #c8313e 2 16.7 4; diamond #c8313e 15 16.7 4;
    diamond #c8313e 2 33.3 4; diamond #c8313e 15 33.3 4; diamond #c8313e 2 50 4; diamond #c8313e 15 50 4;
    diamond #c8313e 2 66.7 4; diamond #c8313e 15 66.7 4; diamond #c8313e 2 83.3 4; diamond #c8313e 15 83.3 4;
    diamond #c8313e 2 100 4; diamond #c8313e 15 100 4
CH | Switzerland | 8_920_000 | field #da291c; plus white 75 50 31.25 18.75
RS | Serbia | 6_740_000 | horizontal #c6363c #0c4076 white; double-eagle white 54 48 25;
    shield #c6363c 54 41 14 18; plus white 54 49 8 2.2; crown #edb92e 54 18 11
BG | Bulgaria | 6_760_000 | horizontal white #00966e #d62612
DK | Denmark | 5_980_000 | field #c8102e; cross white 56.8 50 14.3
FI | Finland | 5_620_000 | field white; cross #002f6c 54.2 50 27.3
NO | Norway | 5_580_000 | field #ba0c2f; cross white 54.5 50 25; cross #00205b 54.5 50 12.5
SK | Slovakia | 5_510_000 | horizontal white #0b4ea2 #ee1c25; shield white 52 24 43 54;
    shield #ee1c25 52 26.5 38 49;
    polygon #0b4ea2 35.2,62 38,59.6 41,59.2 44,60.6 45.6,59 48,56.4 52,55.2 56,56.4 58.4,59 60,60.6 63,59.2
    66,59.6 68.8,62 65.5,67 59.5,72.5 52,75.5 44.5,72.5 38.5,67; rectangle white 50 30 4.6 30;
    rectangle white 42.5 36 19.6 4.4; rectangle white 40 45 24.6 4.4
IE | Ireland | 5_260_000 | vertical #169b62 white #ff883e
HR | Croatia | 3_880_000 | horizontal #ff0000 white #171796; shield #ff0000 75 28 32 46;
    shield white 75 29 30 43.5; checker #ff0000 white 60 29 30 30 5 5;
    polygon white 62,59 66,59 66,65.5 63,63; polygon #ff0000 66,59 72,59 72,69.5 66,66.5;
    polygon white 72,59 78,59 78,69.5 75,71 72,69.5; polygon #ff0000 78,59 84,59 84,66.5 78,69.5;
    polygon #0093dd 58,28 60,18 66,21.5 70.5,16 75,20.5 79.5,16 84,21.5 90,18 92,28;
    polygon #171796 66,21.5 70.5,16 75,20.5 75,28 66,28; polygon #171796 84,21.5 90,18 92,28 84,28;
    star #f7db17 62.5,24 71,23 79.5,23 87.5,24 2.2
BA | Bosnia and Herzegovina | 3_160_000 | field #002f6c; polygon #fecb00 42,0 142,0 142,100;
    star white 30,1 43.5,14.5 57,28 70.5,41.5 84,55 97.5,68.5 111,82 124,96 7
MD | Moldova | 3_030_000 | vertical #0046ae #ffd200 #cc092f; eagle #8a4a20 75 51 23;
    shield #cc092f 75 41 15 19; polygon #0046ae 67.5,50 82.5,50 80.5,56 75,60 69.5,56; bull #ffd200 75 48 5;
    star #ffd200 75 43.5 2; disc #ffd200 75 55.5 1.6; path #ffd200 1.6 75,24 75,31;
    path #ffd200 1.6 72.5,26.5 77.5,26.5; path #1f8a3a 1.8 60,66 64,72; path #ffd200 1.8 86,72 90,66
LT | Lithuania | 2_860_000 | horizontal #fdb913 #006a44 #c1272d
AL | Albania | 2_790_000 | field #e41e20; double-eagle black 75 50 37
SI | Slovenia | 2_120_000 | horizontal white #005da4 #ed1c24; shield #ed1c24 40 17 25 33;
    shield #005da4 40 18.5 22.6 29.5;
    polygon white 30,38 34,32.5 36,34.5 40,26 44,34.5 46,32.5 50,38 47,43 40,47.5 33,43;
    waves #005da4 33 38.5 14 1.3 0.6 2; waves #005da4 34 41.5 12 1.3 0.6 2;
    star #ffdd00 36,24 44,24 40,21 1.7 points=6 inner=0.577
LV | Latvia | 1_870_000 | horizontal #9e3039*2 white*1 #9e3039*2
MK | North Macedonia | 1_820_000 | field #d20000; polygon #ffe600 75,50 66,0 84,0;
    polygon #ffe600 75,50 66,100 84,100; polygon #ffe600 75,50 0,41 0,59; polygon #ffe600 75,50 150,41 150,59;
    polygon #ffe600 75,50 0,0 24,0; polygon #ffe600 75,50 150,0 126,0; polygon #ffe600 75,50 0,100 24,100;
    polygon #ffe600 75,50 150,100 126,100; disc #d20000 75 50 16.5; disc #ffe600 75 50 14
EE | Estonia | 1_360_000 | horizontal #0072ce black white
LU | Luxembourg | 673_000 | horizontal #ed2939 white #00a1de
ME | Montenegro | 638_000 | field #d3ae3b; rectangle #c40308 5 5 140 90; double-eagle #d3ae3b 75 52 32;
    shield #1d5e91 75 42 18 24; polygon #6d8c3e 67,58 83,58 80,62 75,65.5 70,62; lion #d3ae3b 75 51 6;
    crown #d3ae3b 75 16 10
MT | Malta | 540_000 | vertical white #cf142b; plus grey 18 18 11 6; plus silver 18 18 10 4.4;
    disc grey 18 18 4; disc silver 18 18 3
IS | Iceland | 394_000 | field #02529c; cross white 54 50 22.2; cross #dc1e35 54 50 11.1
AD | Andorra | 81_900 | vertical #10069f*8 #fedd00*9 #d50032*8; shield #c7b37f 75 31 29 39;
    shield #d50032 75 32.5 26 36; polygon #fedd00 75,32.5 88,32.5 88,50 75,50;
    vertical #d50032 #fedd00 #d50032 #fedd00 #d50032 #fedd00 #d50032 75 33 12.4 16;
    vertical #fedd00 #d50032 #fedd00 #d50032 #fedd00 #d50032 #fedd00 63 51 12 9;
    polygon #fedd00 75,51 87.5,51 84,62 75,67.5; bull #d50032 81 54.5 4.5; bull #d50032 80.5 61 4;
    path white 2 68,36 68,47; plus white 68 38.5 3 1.6
GG | Guernsey | 64_500 | field white; cross #e8112d 75 50 25; plus #f9dd16 75 50 36 7;
    polygon #f9dd16 35,43 43,46.5 43,53.5 35,57; polygon #f9dd16 115,43 107,46.5 107,53.5 115,57;
    polygon #f9dd16 68,10 71.5,18 78.5,18 82,10; polygon #f9dd16 68,90 71.5,82 78.5,82 82,90
IM | Isle of Man | 84_200 | field #cf142b; leg white 75 50 37; leg white 75 50 37 turn=120;
    leg white 75 50 37 turn=240; disc white 75 50 7
JE | Jersey | 103_600 | field white; saltire #df112d 13; polygon white 62,4 88,4 88,27 75,36 62,27;
    shield #df112d 75 13 19 22; lion #f9d616 75 17.5 3.4; lion #f9d616 75 23.5 3.4; lion #f9d616 75 29.5 3;
    crown #f9d616 75 8 7
FO | Faroe Islands | 55_400 | field white; cross #0065bd 54.5 50 25; cross #ed2939 54.5 50 12.5
AX | Åland Islands | 30_500 | field #0064ad; cross #ffd300 56 50 30; cross #da0e15 56 50 12
GI | Gibraltar | 39_300 | horizontal white*2 #da000c*1;
    polygon #da000c 50,57 50,38 54,38 54,34 50,34 50,28 53,28 53,31 56,31 56,28 60,28 60,31 62,31 62,28 65,28
    65,34 62,34 62,42 67,42 67,26 65,26 65,17 69,17 69,21 73,21 73,17 77,17 77,21 81,21 81,17 85,17 85,26
    83,26 83,42 88,42 88,34 85,34 85,28 88,28 88,31 90,31 90,28 94,28 94,31 97,31 97,28 100,28 100,34 96,34
    96,38 100,38 100,57; polygon black 71,57 71,48 75,44 79,48 79,57; rectangle black 55 46 4 7;
    rectangle black 91 46 4 7; rectangle black 73 29 4 7; rectangle #f8d80e 74 56 2.2 30;
    rectangle #f8d80e 76 78 7 7; rectangle #da000c 78.4 80.4 2.2 2.2; ring #f8d80e 75 61 4 1.4
LI | Liechtenstein | 39_900 | horizontal #002b7f #ce1126;
    polygon #ffd83d 24,40 20,24 30,18 38,15 46,18 56,24 52,40; rectangle #ffd83d 24 38 28 5;
    rectangle #ffd83d 36.6 6 2.8 12; rectangle #ffd83d 33.5 9 9 2.6; disc #002b7f 29 28 3.4;
    disc #002b7f 47 28 3.4; ellipse #002b7f 38 26 2.6 4.4; disc #ce1126 30 40.5 1.4; disc #ce1126 38 40.5 1.4;
    disc #ce1126 46 40.5 1.4
MC | Monaco | 38_600 | horizontal #ce1126 white
SM | San Marino | 33_600 | horizontal white #5eb6e4; wreath #2e7d32 75 51 24 stop=150;
    shield #c9a227 75 34 30 36; shield #73bfe8 75 36 26 31; mountain #3f9b47 75 56 12;
    rectangle white 64.5 45 3.6 8; rectangle white 73.2 41 3.6 9; rectangle white 81.9 45 3.6 8;
    polygon #c9a227 65,45 66.3,41 67.6,45; polygon #c9a227 73.7,41 75,37 76.3,41;
    polygon #c9a227 82.4,45 83.7,41 85,45; crown #c9a227 75 26 12
VA | Vatican City | 500 | vertical #ffe000 white; key #b0b4ba 112.5 58 25 turn=138;
    key #d9a300 112.5 58 25 turn=222 flip=1; path #d21034 1.6 101,72 112.5,80 124,72;
    polygon silver 106,36 105,28 107,20 112.5,14 118,20 120,28 119,36; rectangle #d9a300 105 33 15 2.6;
    rectangle #d9a300 105 26.4 15 2.4; rectangle #d9a300 106.8 20 11.4 2.2; plus #d9a300 112.5 11.5 3 1.4
SJ | Svalbard and Jan Mayen | 2_500 | field #ef2b2d; cross white 54.5 50 25; cross #002868 54.5 50 12.5
"""
