"""The flags of the Americas, in the notation of ``asyncflags.testing.flags.notation``."""

from __future__ import annotations

TABLE = """
US | United States | 345_400_000 | horizontal #b22234 white #b22234 white #b22234 white #b22234 white #b22234
    white #b22234 white #b22234; rectangle #3c3b6e 0 0 62 53.85; star-rows white 0 0 62 53.85 9 6 2.9
CA | Canada | 39_700_000 | vertical #d80621*1 white*2 #d80621*1; maple-leaf #d80621 75 50 36
MX | Mexico | 130_900_000 | vertical #006847 white #ce1126; arc #3f7f3a 75 51 18 2.6 95 265;
    ellipse #5fa6c4 75 65 8 2.4; path #2f7d32 3 75,64 75,56; path #2f7d32 3.6 75,58 68,55 67,51;
    path #2f7d32 3.6 75,58 82,55 83,51; disc #c8102e 67 49 1.6; disc #c8102e 83 49 1.6;
    perched-eagle #7a4a1e 76 43 13.5; path #9a6a34 1.6 78,38 86,34; path #9a6a34 1.6 78,41 87,40;
    path #8fae3c 1.6 66,39 62,42 65,46 61,50 64,53; disc #f0b323 68 36.5 1; path #ce1126 1.4 72,69 78,69
BR | Brazil | 212_000_000 | field #009739; polygon #fedd00 12,50 75,9 138,50 75,91; disc #012169 75 50 25;
    arc white 60.7 100 62.5 4.4 -14 45; ring #fedd00 75 50 31 6; star white 79,38 1.5;
    star white 59,52 63,57 57,57 62,63 68,66 73,54 73,60 75,65 71,63 77,61 84,57 88,60 85,64 91,63 82,69 75,71
    66,70 1.4; star white 84,63 1.1
AR | Argentina | 45_700_000 | horizontal #74acdf white #74acdf; star #f6b40e 75 50 14 points=16 inner=0.5;
    star #f6b40e 75 50 13 points=16 inner=0.5 turn=11.25; disc #85340a 75 50 7.2; disc #f6b40e 75 50 6.4;
    disc #85340a 72.6 48.6 0.9; disc #85340a 77.4 48.6 0.9; path #85340a 0.8 72.8,53 77.2,53
CO | Colombia | 52_900_000 | horizontal #fcd116*2 #003893*1 #ce1126*1
PE | Peru | 34_200_000 | vertical #d91023 white #d91023
VE | Venezuela | 28_400_000 | horizontal #ffcc00 #00247d #cf142b;
    star-ring white 75 64 20 4 8 start=-75 stop=75
CL | Chile | 19_800_000 | horizontal white #d52b1e; rectangle #0039a6 0 0 50 50; star white 25 26 14
EC | Ecuador | 18_100_000 | horizontal #ffdd00*2 #034ea2*1 #ed1c24*1; bird #3a2a1a 75 30 19;
    ellipse #c08a2a 75 50 13 17; ellipse #6cb4e0 75 50 11.5 15.5; disc #ffdd00 75 41 3;
    polygon white 70,51 75,43.5 80,51; polygon #4f8f3f 64.5,55 70,49 75,51 80,49 85.5,55;
    ellipse #3b7bbf 75 59 10 6; path #5d3a1a 2.4 71,59 79,59; path #c08a2a 2 66,69 84,69
GT | Guatemala | 18_400_000 | vertical #4997d0 white #4997d0; band #8a5a2b 1.8 64,60 86,40 64,40 86,60;
    wreath #2e7d32 75 51 17; rectangle #f3e3b0 67 45 16 11; path #8a6d2f 0.8 69,48.5 81,48.5;
    path #8a6d2f 0.8 69,52.5 81,52.5; path #00843d 2.6 75,34 75,43 79,54 80,61; disc #00843d 74 34.5 2.6;
    disc #c8102e 75.5 40 2
BO | Bolivia | 12_400_000 | horizontal #d52b1e #f9e300 #007934; band #d52b1e 3 60,58 68,42;
    band #007934 3 90,58 82,42; ellipse #f9e300 75 50 9.5 11.5; ellipse #0a6ab6 75 50 8.5 10.5;
    ellipse #7ab9e8 75 48 7.4 8; polygon #7a5230 67.6,52 75,43 82.4,52; ellipse #5da13c 75 55 7 4;
    llama white 75 54 3; bird #4a2f1a 75 37.5 7
HT | Haiti | 11_800_000 | horizontal #00209f #d21034; rectangle white 56 35 38 30;
    polygon #6aa84f 56,65 62,59 75,57.5 88,59 94,65; palm #1f7a33 75 48 10; band #00209f 3 63,57 69,49;
    band #d21034 3 87,57 81,49; path #c9a227 2 66,59 84,59; disc #c9a227 68 61.5 1.5; disc #c9a227 82 61.5 1.5
CU | Cuba | 11_000_000 | horizontal #002a8f white #002a8f white #002a8f; triangle #cf142b 86.6;
    star white 29 51 17
DO | Dominican Republic | 11_400_000 | field white; rectangle #002d62 0 0 64 39; rectangle #ce1126 86 0 64 39;
    rectangle #ce1126 0 61 64 39; rectangle #002d62 86 61 64 39; wreath #2e7d32 75 51 9.5;
    shield #002d62 75 44 10 12; band white 2 75,44 75,55; band white 2 70,48 80,48;
    polygon #ce1126 76,44 80,44 80,47 76,47; polygon #ce1126 70,49 74,49 74,53 71,52;
    path #002d62 1.8 69,40 75,38.6 81,40; path #ce1126 1.6 70,62 80,62
HN | Honduras | 10_800_000 | horizontal #18c3df white #18c3df; star #18c3df 75,51 58,43 92,43 58,60 92,60 6
PY | Paraguay | 6_930_000 | horizontal #d52b1e white #0038a8; ring black 75 50 14 0.8;
    wreath #009b3a 75 50 9.5; star #fedf00 75 49 5.5; arc #d52b1e 75 50 13 1.4 -60 60
NI | Nicaragua | 6_920_000 | horizontal #0067c6 white #0067c6; ring #c8a400 75 50 15 1.4;
    polygon #c8a400 75,38.5 85.5,56 64.5,56; polygon #97d3ee 75,41 83,54.8 67,54.8;
    arc #d21034 75 54 8 1 -60 60; arc #fedf00 75 54 7 1 -60 60; arc #0067c6 75 54 6 1 -60 60;
    polygon #3a9b35 68,54.8 71,50.5 73,53 75,50.5 77,53 79,50.5 82,54.8; disc #d21034 75 46.5 1.2
SV | El Salvador | 6_340_000 | horizontal #0f47af white #0f47af; wreath #2e7d32 75 50 13.5 stop=170;
    band #0f47af 2 64,43 69,47 86,43 81,47; polygon #d4a017 75,39.5 84,56 66,56;
    polygon #8fc9ee 75,42.2 82,54.8 68,54.8;
    polygon #3a9b35 68.5,54.8 71.5,51.5 73.5,53.5 75,51.5 77,53.5 79,51.5 81.5,54.8; disc #d21034 75 47.5 1.4;
    ring #0f47af 75 50 16.5 0.9
CR | Costa Rica | 5_130_000 | horizontal #002b7f*1 white*1 #ce1126*2 white*1 #002b7f*1;
    ellipse white 50 50 17 13.5; shield #c9a227 50 41 13 18; shield #8ed0f0 50 42 11.4 16;
    mountain #2e7d32 50 50 5.4; ellipse #2a6fc0 50 54.5 4.8 2.2; path #002b7f 1.8 44,40 50,38.8 56,40
PA | Panama | 4_520_000 | field white; rectangle #d21034 75 0 75 50; rectangle #005293 0 50 75 50;
    star #005293 37.5 26 13; star #d21034 112.5 76 13
UY | Uruguay | 3_390_000 | horizontal white #0038a8 white #0038a8 white #0038a8 white #0038a8 white;
    rectangle white 0 0 55.56 55.56; star #fcd116 27.8 27.8 23 points=8 inner=0.45;
    star #fcd116 27.8 27.8 21 points=8 inner=0.5 turn=22.5; disc #7b3f00 27.8 27.8 11;
    disc #fcd116 27.8 27.8 10; disc #7b3f00 24 25.5 1.3; disc #7b3f00 31.6 25.5 1.3;
    path #7b3f00 1.1 24.3,32.3 31.3,32.3; path #7b3f00 1 27.8,27 27.8,29.4
JM | Jamaica | 2_840_000 | field black; polygon #009b3a 0,0 150,0 75,50; polygon #009b3a 0,100 150,100 75,50;
    saltire #fed100 17
TT | Trinidad and Tobago | 1_510_000 | field #da1a35; diagonal white 42; diagonal black 29
GY | Guyana | 831_000 | field #009e49; triangle white 150; triangle #fcd116 142; triangle black 80;
    triangle #ce1126 73
SR | Suriname | 634_000 | horizontal #377e3f*2 white*1 #b40a2d*4 white*1 #377e3f*2; star #ecc81d 75 51 18
BS | Bahamas | 401_000 | horizontal #00778b #ffc72c #00778b; triangle black 80
BB | Barbados | 282_000 | vertical #00267f #ffc726 #00267f; trident black 75 50 25
BZ | Belize | 417_000 | horizontal #ce1126*1 #003f87*8 #ce1126*1; disc white 75 50 34;
    wreath #2e7d32 75 50 30 stop=176; shield #8a5a2b 75 41 20 24; polygon white 66,42 75,42 75,50 66,50;
    polygon #fcd116 75,42 84,42 84,50 75,50; polygon #8fd0f0 66.5,50 83.5,50 81,58 75,63.5 69,58;
    ship #8a5a2b 75 56 5; path #7b4a22 3.6 59,43 59,60; path #3b2414 3.6 91,43 91,60; disc #7b4a22 59 40 2.6;
    disc #3b2414 91 40 2.6; rectangle white 57.2 53 3.6 9; rectangle white 89.2 53 3.6 9;
    tree #2e7d32 75 33.5 7
LC | Saint Lucia | 180_000 | field #65cfff; polygon white 75,8 108,92 42,92; polygon black 75,17 105,92 45,92;
    polygon #fcd116 75,50 108,92 42,92
GD | Grenada | 117_000 | field #ce1126; rectangle #fcd116 12 12 126 76; polygon #007a5e 12,12 75,50 12,88;
    polygon #007a5e 138,12 75,50 138,88; disc #ce1126 75 50 15; star #fcd116 75 51 14;
    star #fcd116 37,6.5 75,6.5 113,6.5 37,94 75,94 113,94 5; drop #fcd116 32 50 9 turn=60;
    drop #ce1126 31 51 6 turn=60
VC | Saint Vincent and the Grenadines | 101_000 | vertical #0072c6*1 #fcd116*2 #009e60*1;
    diamond #009e60 61 38 20; diamond #009e60 89 38 20; diamond #009e60 75 66 20
AG | Antigua and Barbuda | 94_000 | field black; rays #fcd116 75 40 0 30 rays=16 width=12 turn=11.25;
    disc #fcd116 75 40 19; rectangle #0072c6 0 40 150 25; polygon white 0,60 150,60 75,100;
    rectangle white 30 60 90 8; polygon #ce1126 0,0 75,100 0,100; polygon #ce1126 150,0 75,100 150,100
DM | Dominica | 66_000 | field #006b3f; cross #fcd116 65 42 8; cross black 73 50 8; cross white 81 58 8;
    disc #d41c30 75 50 24; star-ring #006b3f 75 50 20 3.2 10; parrot #009e49 75 50 13;
    disc #5a2d82 74.5 45 4.5; path #8a5a2b 1.6 66,60 84,60
KN | Saint Kitts and Nevis | 46_800 | field #009e49; polygon #ce1126 0,100 150,0 150,100;
    diagonal #fcd116 48 rise=1; diagonal black 38 rise=1; star white 52,65 98,35 13 turn=-14
AW | Aruba | 108_000 | field #418fde; rectangle #fbe122 0 66 150 6; rectangle #fbe122 0 78 150 6;
    star white 30 28 19 points=4 inner=0.33; star #d50032 30 28 16 points=4 inner=0.31
CW | Curaçao | 185_000 | horizontal #002b7f*5 #f9e814*1 #002b7f*2; star white 24 22 8; star white 40 36 11
SX | Sint Maarten | 43_400 | horizontal #dc171d #012a87; triangle white 75; shield #012a87 24 38 20 23;
    shield #dc171d 24 38.8 18.4 21.4; shield #6cc2ef 24 40 15.5 18; rectangle white 20 46 8 8;
    polygon #dc171d 19,46 24,42.5 29,46; disc #f9c300 24 33.5 4; rectangle white 14 34 20 1.6;
    path #f9c300 2 15,64 24,66.5 33,64
BQ | Bonaire, Sint Eustatius and Saba | 30_400 | field white; polygon #f9d90f 0,0 60,0 0,40;
    polygon #012a87 0,100 150,0 150,100; ring black 44 44 11.5 1.6; star #dc171d 44 44 9 points=6 inner=0.577;
    rays black 44 44 10.5 14.5 rays=4 width=16
AI | Anguilla | 14_600 | field #00247d; union-jack 0 0 75 50; shield white 112 26 37 48;
    polygon #8fd9f3 93.5,60 130.5,60 125,69 112,74 99,69; arc #f58220 112 49 12 4.5 -80 25;
    arc #f58220 112 49 12 4.5 40 145; arc #f58220 112 49 12 4.5 160 265
BM | Bermuda | 64_600 | field #cf142b; union-jack 0 0 75 50; shield #009b48 112 26 37 48;
    shield white 112 28 34 44; lion #d21034 112 45 14; rectangle #6fb7e8 107 50 10 9
VG | British Virgin Islands | 39_500 | field #00247d; union-jack 0 0 75 50; shield #008a3e 112 26 37 48;
    polygon white 109,40 115,40 118,64 106,64; disc #f2c9a1 112 36 3.4; path #fcd116 2.4 100,36 100,58;
    path #fcd116 2.4 124,36 124,58; path #fcd116 2.4 105,33 105,33.5; path #fcd116 2.4 119,33 119,33.5;
    path #ffd100 3.4 98,79 112,82 126,79
VI | U.S. Virgin Islands | 84_900 | field white; eagle #f4c53d 75 48 31; shield white 75 42 17 22;
    vertical #cc2229 white #cc2229 white #cc2229 66.5 46 17 10; rectangle #162d8f 66.5 41 17 7;
    path #369443 2.6 50,74 56,60; path #162d8f 1.4 100,74 94,58; path #162d8f 1.4 103,72 97,57;
    polygon #162d8f 18,38 25,38 31,55 37,38 44,38 34,64 28,64; rectangle #162d8f 116 38 7 26
KY | Cayman Islands | 74_500 | field #00247d; union-jack 0 0 75 50; shield white 112 28 34 44;
    rectangle #d21034 95 28 34 12; lion #fcd116 112 34 6; waves #0072c6 96 46 32 2.6 1.2 3;
    waves #0072c6 97 52 30 2.6 1.2 3; waves #0072c6 101 58 22 2.6 1.2 2; star #009b48 105,48 119,48 112,60 4;
    path #fcd116 3 96,76 112,79 128,76; ellipse #2e7d32 112 25 5 3
TC | Turks and Caicos Islands | 46_500 | field #00247d; union-jack 0 0 75 50; shield #fcd116 112 25 38 50;
    drop #f3a8b8 104 39 8 turn=25; disc #c8102e 121 40 5.5; rectangle #c8102e 120 44 2 6;
    drop #2e7d32 112 58 9; rectangle #c8102e 106 62 12 3
MS | Montserrat | 4_400 | field #00247d; union-jack 0 0 75 50; shield #55b6e8 112 26 37 48;
    polygon #8a5a2b 93.5,56 130.5,56 126,68 112,74 98,68; band black 3 116,32 116,62;
    band black 3 109,39 123,39; path #009b48 4.4 107,46 105,62; disc #f2c9a1 107 41 3;
    path #f2c9a1 2 107,48 115,46; path #fcd116 2 103,52 103,60
FK | Falkland Islands | 3_500 | field #00247d; union-jack 0 0 75 50; shield white 112 26 37 46;
    shield #1d72b8 112 27.5 34 43; sheep white 112 37 9; polygon #4f9e3a 100,45 124,45 122,49 102,49;
    waves white 96 52 32 2.2 1.2 3; waves white 99 58 26 2.2 1.2 3; ship #d9b25f 112 59 6;
    path #d9b25f 3 96,76 112,79 128,76
GL | Greenland | 55_900 | horizontal white #c8102e; disc #c8102e 58 50 33;
    polygon white 25,50 91,50 91,51 25,51; arc white 58 50 33 33 90 270
GP | Guadeloupe | 375_000 | field #d2182a; sun #ffd500 75 57 15 26 rays=16; path #1b8a3a 3.4 75,70 70,44;
    path #1b8a3a 3.4 76,70 76,40; path #1b8a3a 3.4 77,70 83,44; rectangle #0052a5 0 0 150 26;
    fleur #ffd500 37 13 9; fleur #ffd500 75 13 9; fleur #ffd500 113 13 9
MQ | Martinique | 343_000 | horizontal #00853f black; triangle #e30613 75
GF | French Guiana | 308_000 | polygon #179c3b 0,0 150,0 150,100; polygon #ffdd00 0,0 150,100 0,100;
    star #d8202b 75 50 18
BL | Saint Barthélemy | 11_300 | field white; shield #1c4587 75 26 38 48; rectangle #1c4587 56 26 38 16;
    fleur #fcd116 65 34 6; fleur #fcd116 75 34 6; fleur #fcd116 85 34 6;
    polygon #d21034 56,42 94,42 94,55 56,55; plus white 75 48.5 6 3.6;
    polygon #1c4587 56,55 94,55 88,67 75,74 62,67; crown #fcd116 67 60 4; crown #fcd116 83 60 4;
    crown #fcd116 75 67 4; crown #c9a227 75 20 10; bird silver 46 50 11 turn=20;
    bird silver 104 50 11 turn=-20
MF | Saint Martin | 26_100 | vertical #00209f white #ef3340
PM | Saint Pierre and Miquelon | 5_600 | field #0093d5; ship #fcd116 92 44 34; waves white 38 72 112 3 2 7;
    waves white 38 82 112 3 2 7; waves white 38 91 112 3 2 7; rectangle #d52b1e 0 0 38 33.3;
    saltire #009b48 7 0 0 38 33.3; rectangle white 17 0 4 33.3; rectangle white 0 14.6 38 4;
    rectangle white 0 33.3 38 33.3; ship black 19 50 12; rectangle #d52b1e 0 66.7 38 33.3;
    lion #fcd116 19 77 8; lion #fcd116 19 92 7
PR | Puerto Rico | 3_240_000 | horizontal #ed0000 white #ed0000 white #ed0000; triangle #0050f0 86.6;
    star white 29 51 17
"""
