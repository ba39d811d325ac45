"""The flags of Asia, in the notation of ``asyncflags.testing.flags.notation``."""

from __future__ import annotations

TABLE = """
IN | India | 1_450_900_000 | horizontal #ff9933 white #138808; wheel #000080 75 50 15 24
CN | China | 1_419_300_000 | field #ee1c25; star #ffff00 25 25 15; star #ffff00 50 10 5 turn=-121;
    star #ffff00 60 20 5 turn=-98.1; star #ffff00 60 35 5 turn=-74; star #ffff00 50 45 5 turn=-51.3
ID | Indonesia | 283_500_000 | horizontal #ff0000 white
PK | Pakistan | 251_300_000 | vertical white*1 #01411c*3; crescent white 92 52 29 99.5 45.5 26;
    star white 109 36 10.5 turn=48
BD | Bangladesh | 173_600_000 | field #006a4e; disc #f42a41 67.5 50 33
JP | Japan | 123_800_000 | field white; disc #bc002d 75 50 30
PH | Philippines | 115_800_000 | horizontal #0038a8 #ce1126; triangle white 86.6;
    rays #fcd116 29 50 9 19 rays=8 width=15; disc #fcd116 29 50 10; star #fcd116 8,13 8,87 6 turn=0;
    star #fcd116 74 50 6 turn=-90
VN | Vietnam | 101_000_000 | field #da251d; star #ffff00 75 52 31
IR | Iran | 91_600_000 | horizontal #239f40 white #da0000; band white 1 0,31 150,31 0,69 150,69;
    checker white #239f40 0 31.8 150 1.7 90 1; checker #da0000 white 0 66.5 150 1.7 90 1;
    crescent #da0000 75 50.5 12 78.2 48.5 10.9; crescent #da0000 75 50.5 12 71.8 48.5 10.9;
    crescent #da0000 75 50.5 7.6 77.4 49 6.7; crescent #da0000 75 50.5 7.6 72.6 49 6.7;
    polygon #da0000 73.6,41.5 76.4,41.5 76,60 75,63.5 74,60; arc #da0000 73.5 37.8 2 1.2 90 270;
    arc #da0000 76.5 37.8 2 1.2 90 270
TR | Türkiye | 87_500_000 | field #e30a17; crescent white 52 50 25 58.2 50 20; star white 83 50 12.5 turn=-90
TH | Thailand | 71_700_000 | horizontal #a51931*1 white*1 #241d4f*2 white*1 #a51931*1
MM | Myanmar | 54_500_000 | horizontal #fecb00 #34b233 #ea2839; star white 75 53 34
KR | South Korea | 51_700_000 | field white; disc #0047a0 75 50 25; arc #cd2e3a 75 50 25 25 -56.3 123.7;
    disc #cd2e3a 64.6 43.1 12.5; disc #0047a0 85.4 56.9 12.5;
    band black 4.2 35.1,38.4 49,17.6 29.9,35 43.8,14.2 24.7,31.5 38.6,10.7 101,17.6 107.3,27.1 108.6,28.9
    114.9,38.4 106.2,14.2 120.1,35 111.4,10.7 117.7,20.2 119,22 125.3,31.5 49,82.4 35.1,61.6 43.8,85.8
    37.5,76.3 36.2,74.5 29.9,65 38.6,89.3 24.7,68.5 114.9,61.6 108.6,71.1 107.3,72.9 101,82.4 120.1,65
    113.8,74.5 112.5,76.3 106.2,85.8 125.3,68.5 119,78 117.7,79.8 111.4,89.3
IQ | Iraq | 46_000_000 | horizontal #ce1126 white black; path #007a3d 2.8 99,41 99,58;
    path #007a3d 2.8 93,42 93,58 82,58; path #007a3d 2.8 87.5,42 87.5,58; path #007a3d 2.8 70,41 70,58;
    path #007a3d 2.8 66,43 57,47 66,53 65,58 47,58; path #007a3d 2.8 55,53 55,58;
    path #007a3d 2.8 47,53.5 47,58 42,62; ring #007a3d 80 55.6 4.2 2.6; disc #007a3d 55.5 62.3 1.6
AF | Afghanistan | 42_600_000 | vertical black #d32011 #007a36; ring white 75 50 17 1.6;
    arc white 75 50 15 1.6 110 250; polygon white 67,57 67,48 70,48 70,44 75,40 80,44 80,48 83,48 83,57;
    polygon #d32011 72.5,57 72.5,50 75,47.5 77.5,50 77.5,57; band white 1.2 68.5,48 68.5,40 81.5,48 81.5,40;
    path white 1.6 66,60 84,60; rays white 75 40 4 7 rays=12 width=8
YE | Yemen | 40_600_000 | horizontal #ce1126 white black
UZ | Uzbekistan | 36_400_000 | horizontal #0099b5*15 #ce1126*1 white*15 #ce1126*1 #1eb53a*15;
    crescent white 22 16 12 27 16 11;
    star white 57,6 67,6 77,6 47,16 57,16 67,16 77,16 37,26 47,26 57,26 67,26 77,26 3.6
MY | Malaysia | 35_600_000 | horizontal #cc0001 white #cc0001 white #cc0001 white #cc0001 white #cc0001 white
    #cc0001 white #cc0001 white; rectangle #010066 0 0 75 57.14; crescent #ffcc00 30 28.6 20 36 28.6 17.5;
    star #ffcc00 47 28.6 15 points=14 inner=0.55
SA | Saudi Arabia | 34_000_000 | field #006c35; sabre white 75 73 40; path white 2.4 116,26 108,52;
    path white 2.4 105,28 115,52; path white 2.4 100,26 100,52; path white 2.4 95,32 95,52 87,52;
    path white 2.4 81,26 81,52; path white 2.4 78,28 70,52; path white 2.4 69,28 77,52;
    path white 2.4 64,26 64,52; path white 2.4 59,30 59,52 48,52; path white 2.4 54,30 54,52;
    path white 2.4 41,26 41,52; path white 2.4 37,30 37,52 32,57; path white 2 104,58 96,60 88,57;
    path white 2 80,58 72,61 64,58; path white 2 56,58 48,61 42,58; path white 2 90,36 85,33 88,40;
    path white 2 73,37 75,43; path white 2 47,38 50,34 46,32; ring white 86 49 4 2.2; ring white 47 49 4 2.2;
    ring white 112 58 3 1.8; disc white 91 29 1.3; disc white 60 62 1.3; disc white 100 63.5 1.3
NP | Nepal | 29_700_000 | field white; path #003893 5 5,96 71,96 24.3,49.3 71,49.3 5,8 5,96;
    polygon #dc143c 5,96 71,96 24.3,49.3 71,49.3 5,8; crescent white 24 37 11 24 32 10.5;
    star white 24 39 6.5 points=16 inner=0.6; star white 24 74 12.5 points=12 inner=0.6
KP | North Korea | 26_500_000 | horizontal #024fa2*6 white*2 #ed1c27*22 white*2 #024fa2*6;
    disc white 50 50 22; star #ed1c27 50 50.5 21.5
SY | Syria | 24_700_000 | horizontal #007a3d white black; star #ce1126 42,51 75,51 108,51 11
LK | Sri Lanka | 23_100_000 | field #ffbe29; rectangle #00534e 6 7 21 86; rectangle #eb7400 27 7 21 86;
    rectangle #8d153a 54 7 90 86; lion #ffbe29 98 50 32 flip=1; path #ffbe29 2.2 73,70 73,20;
    sword #ffbe29 73 30 12; drop #ffbe29 60 13 6 turn=-45; drop #ffbe29 138 13 6 turn=45;
    drop #ffbe29 60 87 6 turn=-135; drop #ffbe29 138 87 6 turn=135
TW | Taiwan | 23_200_000 | field #fe0000; rectangle #000095 0 0 75 50;
    star white 37.5 25 19 points=12 inner=0.62; disc #000095 37.5 25 11; disc white 37.5 25 9.6
KZ | Kazakhstan | 20_600_000 | field #00afca; rays #fec50c 75 42 17 26 rays=32 width=5;
    disc #fec50c 75 42 15.5; polygon #fec50c 38,47 52,66 75,70 98,66 112,47 104,68 86,76 75,84 64,76 46,68;
    checker #fec50c #00afca 6 4 5 92 1 12; checker #00afca #fec50c 12 4 5 92 1 12;
    rectangle #fec50c 10.5 4 2 92
KH | Cambodia | 17_600_000 | horizontal #032ea1*1 #e00025*2 #032ea1*1; temple white 75 52 25;
    rectangle white 48 67.5 54 4
JO | Jordan | 11_600_000 | horizontal black white #007a3d; triangle #ce1126 80;
    star white 26 50 9 points=7 inner=0.5
AE | United Arab Emirates | 11_000_000 | horizontal #00732f white black; rectangle #ff0000 0 0 37.5 100
TJ | Tajikistan | 10_600_000 | horizontal #cc0000*2 white*3 #006600*2; crown #f8c300 75 54 10;
    star-ring #f8c300 75 52 15 2.8 7 start=-75 stop=75
IL | Israel | 9_390_000 | field white; rectangle #0038b8 0 9 150 16; rectangle #0038b8 0 75 150 16;
    path #0038b8 2.8 75,31 91.5,59.5 58.5,59.5 75,31; path #0038b8 2.8 75,69 91.5,40.5 58.5,40.5 75,69
LA | Laos | 7_770_000 | horizontal #ce1126*1 #002868*2 #ce1126*1; disc white 75 50 20
HK | Hong Kong | 7_410_000 | field #de2910; bauhinia-petal white 75 50 31;
    bauhinia-petal white 75 50 31 turn=72; bauhinia-petal white 75 50 31 turn=144;
    bauhinia-petal white 75 50 31 turn=216; bauhinia-petal white 75 50 31 turn=288;
    star-ring #de2910 77 50 18 2.4 5
KG | Kyrgyzstan | 7_190_000 | field #e8112d; star #ffef00 75 50 31 points=40 inner=0.72;
    disc #e8112d 75 50 19; disc #ffef00 75 50 17.5; ring #e8112d 75 50 14.5 2;
    arc #e8112d 62 50 19.5 1.5 60 120; arc #e8112d 59.5 50 19.5 1.5 58 122;
    arc #e8112d 88 50 19.5 1.5 240 300; arc #e8112d 90.5 50 19.5 1.5 238 302; band #e8112d 1.5 75,37 75,63
SG | Singapore | 5_830_000 | horizontal #ee2536 white; crescent white 29 25 17.5 36.5 25 17.5;
    star-ring white 42 25.5 9.5 4 5
LB | Lebanon | 5_810_000 | horizontal #ee161f*1 white*2 #ee161f*1; cedar #00a651 75 50 24
PS | Palestine | 5_500_000 | horizontal black white #007a3d; triangle #ce1126 50
OM | Oman | 5_280_000 | horizontal white #db161b #008000; rectangle #db161b 0 0 40 100;
    band white 2.4 10,10 30,28 30,10 10,28; path white 4 20,10 20,17 23,24; ring white 20 18 9 1.2;
    path white 2.4 14,19 26,19
KW | Kuwait | 4_930_000 | horizontal #007a3d white #ce1126; polygon black 0,0 37.5,33.3 37.5,66.7 0,100
GE | Georgia | 3_810_000 | field white; cross #ff0000 75 50 20; rays #ff0000 32.5 20 1 9.5 rays=4 width=40;
    rays #ff0000 32.5 80 1 9.5 rays=4 width=40; rays #ff0000 117.5 20 1 9.5 rays=4 width=40;
    rays #ff0000 117.5 80 1 9.5 rays=4 width=40
MN | Mongolia | 3_480_000 | vertical #c4272f #015197 #c4272f; drop #f9cf02 25 16 9; disc #f9cf02 25 31 5.6;
    crescent #f9cf02 25 33 8.6 25 29.5 8; rectangle #f9cf02 11 42 6 44; rectangle #f9cf02 33 42 6 44;
    polygon #f9cf02 19,42 31,42 25,48; rectangle #f9cf02 19 49.5 12 2.6; disc #f9cf02 25 62 8;
    arc #c4272f 25 62 6.4 6.4 20 200; disc #c4272f 26.6 58.6 3; disc #f9cf02 23.4 65.4 3;
    rectangle #f9cf02 19 72 12 2.6; polygon #f9cf02 19,77 31,77 25,84
AM | Armenia | 2_970_000 | horizontal #d90012 #0033a0 #f2a800
QA | Qatar | 3_050_000 | field white; serration #8a1538 45 12 9
BH | Bahrain | 1_610_000 | field white; serration #da291c 40 20 5
TL | Timor-Leste | 1_400_000 | field #dc241f; triangle #ffc726 75; triangle black 50;
    star white 17 51 13 turn=-25
CY | Cyprus | 1_360_000 | field white; cyprus #d57800 75 42 36;
    path #4e5b31 1.8 57,72 66,79 75,80 84,79 93,72; ellipse #4e5b31 60 69 2 4; ellipse #4e5b31 66 73 2 4;
    ellipse #4e5b31 90 69 2 4; ellipse #4e5b31 84 73 2 4; ellipse #4e5b31 63 80 4 2; ellipse #4e5b31 87 80 4 2
BT | Bhutan | 792_000 | polygon #ffd520 0,0 150,0 0,100; polygon #ff4e12 150,0 150,100 0,100;
    path white 8 28,84 40,88 50,76 46,64 58,56 70,64 82,58 80,46 90,36 102,40 112,30 124,20;
    path white 3.4 112,30 118,38; path white 3.4 102,40 110,48 116,46; path white 3.4 80,46 72,38 66,40;
    path white 3.4 58,56 50,48 44,50; path white 3.4 70,64 76,74 84,74; path white 3.4 28,84 20,90;
    disc white 124 20 6.5; path white 2.4 126,15 134,10; path white 2.4 128,22 137,24;
    disc black 125 18.5 1.2; path #ff4e12 1 52,72 50,66 58,60; path #ff4e12 1 72,60 80,56;
    path #ffd520 1 86,44 92,40 100,42
MO | Macao | 720_000 | field #067662; star-ring #fbd116 75 52 30 4 5 start=-50 stop=50;
    star #fbd116 75 23 7.5; spear-shield white 75 46 15; spear-shield white 66 50 13 turn=-40;
    spear-shield white 84 50 13 turn=40; spear-shield white 58 56 11 turn=-68;
    spear-shield white 92 56 11 turn=68; path #067662 0.9 70,58 67,46 70,38;
    path #067662 0.9 80,58 83,46 80,38; arc white 75 66 22 2 -68 -8; arc white 75 66 22 2 8 68;
    rectangle white 48 61 54 3; arc white 75 50 29 2.4 120 240; arc white 75 50 34 2.4 130 230;
    arc white 75 50 39 2.4 138 222
MV | Maldives | 528_000 | field #d21034; rectangle #007e3a 35 25 80 50; crescent white 80 50 17 86 50 15.5
BN | Brunei | 462_000 | field #f7e017; polygon white 0,6 0,30 150,92 150,68;
    polygon black 0,30 0,52 150,114 150,92; crescent #cf1126 75 50 22 75 42 22;
    rectangle #cf1126 73.2 24 3.6 44; polygon #cf1126 64,36 86,36 80,42 70,42;
    polygon #cf1126 66,25 75,29 84,25 75,33; rectangle #cf1126 62 75 26 4; path #cf1126 3 50,46 53,60;
    path #cf1126 3 100,46 97,60
AZ | Azerbaijan | 10_300_000 | horizontal #00b5e2 #ef3340 #509e2f; crescent white 71 50 14 75 50 11.7;
    star white 86 50 8 points=8 inner=0.55
TM | Turkmenistan | 7_490_000 | field #00843d; rectangle #8c2a3c 18 0 28 100; ellipse white 32 10 10 7.4;
    ellipse #00843d 32 10 8.2 5.8; diamond #d9a441 32 10 5; rectangle #8c2a3c 30.8 3 2.4 14;
    diamond white 32 10 2.4; rectangle #d9a441 19.5 1 3 18; rectangle #d9a441 41.5 1 3 18;
    ellipse white 32 30 10 7.4; ellipse #00843d 32 30 8.2 5.8; diamond #d9a441 32 30 5;
    rectangle #8c2a3c 30.8 23 2.4 14; diamond white 32 30 2.4; rectangle #d9a441 19.5 21 3 18;
    rectangle #d9a441 41.5 21 3 18; ellipse white 32 50 10 7.4; ellipse #00843d 32 50 8.2 5.8;
    diamond #d9a441 32 50 5; rectangle #8c2a3c 30.8 43 2.4 14; diamond white 32 50 2.4;
    rectangle #d9a441 19.5 41 3 18; rectangle #d9a441 41.5 41 3 18; ellipse white 32 70 10 7.4;
    ellipse #00843d 32 70 8.2 5.8; diamond #d9a441 32 70 5; rectangle #8c2a3c 30.8 63 2.4 14;
    diamond white 32 70 2.4; rectangle #d9a441 19.5 61 3 18; rectangle #d9a441 41.5 61 3 18;
    ellipse white 32 90 10 7.4; ellipse #00843d 32 90 8.2 5.8; diamond #d9a441 32 90 5;
    rectangle #8c2a3c 30.8 83 2.4 14; diamond white 32 90 2.4; rectangle #d9a441 19.5 81 3 18;
    rectangle #d9a441 41.5 81 3 18; crescent white 66 20 13 71 17 12;
    star white 70,9 76,13 83,10 73,20 81,20 3.4
"""
